"""The action ai.generate: a model writes text, or values of a schema."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from email_sender.adapters.json_schemas import JsonSchemaChecker
from email_sender.errors import InvalidInput, NotFound, Problem
from email_sender.kit.tasks import Listed, TaskCall
from email_sender.security.permissions import Permission, require
from email_sender.workflows.generation import Prompt, generate
from workflows.bootstrap import read_messages, text_model

_MAX_SCHEMA = 16_384
_MAX_MESSAGE = 4_000


class GenerateIn(BaseModel):
    """What a model reads: a prompt, and messages of the archive, which are put after it."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    prompt: Annotated[str, Field(min_length=1, max_length=100_000)]
    system: Annotated[str, Field(max_length=20_000)] = ""
    messages: Annotated[list[UUID], Field(max_length=50), Listed] = Field(default_factory=list)
    answer_schema: dict[str, Any] | None = Field(default=None, alias="schema")
    max_tokens: Annotated[int, Field(ge=1, le=4_096)] = 512
    temperature: Annotated[float, Field(ge=0, le=1)] = 0.0


def write(call: TaskCall) -> Mapping[str, Any]:
    asked = call.parse(GenerateIn)
    checker = JsonSchemaChecker()
    if asked.answer_schema is not None:
        _check(asked.answer_schema, checker)
    text = asked.prompt + "".join(_quoted(call, asked.messages))
    prompt = Prompt(text, asked.system, asked.max_tokens, asked.temperature)
    model = text_model()
    made = generate(model, prompt, asked.answer_schema, checker)
    told: dict[str, Any] = {
        "model": model.model,
        "input_tokens": made.input_tokens,
        "output_tokens": made.output_tokens,
    }
    # Not both: a for_each keeps 1,200 bytes an item.
    return {**told, "text": made.text} if asked.answer_schema is None else {**told, "data": made.data}


def _quoted(call: TaskCall, ids: Sequence[UUID]) -> Iterator[str]:
    """What people wrote is no instruction, and marked as what it is. A message that is gone is left out.

    Raises:
        NotFound: none of them is there.
    """
    if not ids:
        return
    require(call.role, Permission.MESSAGING_READ)
    found = read_messages(call.tenant_id, ids)
    if not found:
        raise NotFound("None of the messages that the model should read is there.")
    for message in found:
        yield f"\n\n<message id={message.id}>\n{message.subject}\n\n{message.text[:_MAX_MESSAGE]}\n</message>"


def _check(schema: Mapping[str, Any], checker: JsonSchemaChecker) -> None:
    text = json.dumps(schema)
    if len(text) > _MAX_SCHEMA or '"$ref"' in text:
        raise InvalidInput.at("/with/schema", f"A schema has at most {_MAX_SCHEMA} characters and refers to nothing.")
    problems = [Problem(f"/with/schema{each.pointer}", each.message) for each in checker.check(schema)]
    if problems:
        words = "; ".join(f"{each.pointer}: {each.message}" for each in problems)
        raise InvalidInput(f"The schema is none: {words}", problems)
