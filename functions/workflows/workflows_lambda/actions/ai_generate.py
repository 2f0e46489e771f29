"""The action ai.generate: a model generates text, or data that matches a schema."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from email_sender.adapters.documents.json_schemas import JsonSchemaChecker
from email_sender.errors import InvalidInput, NotFound, Problem
from email_sender.kit.tasks.call import JsonataList, TaskCall
from email_sender.security.permissions import Permission, require
from email_sender.workflows.generation import Prompt, generate
from workflows_lambda.bootstrap import model_tokens, read_messages, text_model

_MAX_SCHEMA_CHARACTERS = 16_384
_MAX_MESSAGE_CHARACTERS = 4_000
# About; the model tells the number afterwards.
_CHARACTERS_PER_TOKEN = 4


class GenerateIn(BaseModel):
    """The model's input: a prompt, followed by messages of the archive."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    prompt: Annotated[str, Field(min_length=1, max_length=100_000)]
    system: Annotated[str, Field(max_length=20_000)] = ""
    messages: Annotated[list[UUID], Field(max_length=50), JsonataList] = Field(default_factory=list)
    answer_schema: dict[str, Any] | None = Field(default=None, alias="schema")
    max_tokens: Annotated[int, Field(ge=1, le=4_096)] = 512
    temperature: Annotated[float, Field(ge=0, le=1)] = 0.0


def generate_text(call: TaskCall) -> Mapping[str, Any]:
    arguments = call.parse(GenerateIn)
    checker = JsonSchemaChecker()
    if arguments.answer_schema is not None:
        check_schema(arguments.answer_schema, checker)
    text = arguments.prompt + "".join(_message_blocks(call, arguments.messages))
    prompt = Prompt.of(text, arguments.system, arguments.max_tokens, arguments.temperature)
    model = text_model()
    with model_tokens(call.tenant_id, arguments.max_tokens + len(text) // _CHARACTERS_PER_TOKEN) as count:
        result = generate(model, prompt, arguments.answer_schema, checker)
        count(result.input_tokens + result.output_tokens)
    usage: dict[str, Any] = {
        "model": model.model,
        "input_tokens": result.input_tokens,
        "output_tokens": result.output_tokens,
    }
    # Only one of the two: an item of a for_each can return at most 1,200 bytes.
    return {**usage, "text": result.text} if arguments.answer_schema is None else {**usage, "data": result.data}


def _message_blocks(call: TaskCall, ids: Sequence[UUID]) -> Iterator[str]:
    """Yield the messages as marked blocks, because their text is data and not an instruction to the model.

    Messages that no longer exist are left out.

    Raises:
        NotFound: none of the messages exists.
    """
    if not ids:
        return
    require(call.role, Permission.MESSAGING_READ)
    messages = read_messages(call.tenant_id, ids)
    if not messages:
        raise NotFound("None of the messages for the model exists.")
    for message in messages:
        text = message.text[:_MAX_MESSAGE_CHARACTERS]
        yield f"\n\n<message id={message.id}>\n{message.subject}\n\n{text}\n</message>"


def check_schema(schema: Mapping[str, Any], checker: JsonSchemaChecker) -> None:
    """Raise InvalidInput for a schema that is invalid, too long, or refers to others."""
    text = json.dumps(schema)
    if len(text) > _MAX_SCHEMA_CHARACTERS or '"$ref"' in text:
        raise InvalidInput.at(
            "/with/schema",
            f"The schema can have at most {_MAX_SCHEMA_CHARACTERS} characters and must not contain $ref.",
        )
    problems = [Problem(f"/with/schema{problem.pointer}", problem.message) for problem in checker.check(schema)]
    if problems:
        details = "; ".join(f"{problem.pointer}: {problem.message}" for problem in problems)
        raise InvalidInput(f"The JSON Schema is invalid: {details}", problems)
