"""Generate text, data that matches a JSON Schema, or calls of tools, with a text model."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from email_sender.errors import Conflict
from email_sender.strict_json import read_json
from email_sender.workflows.ports import InputChecker

# Some models wrap JSON in a Markdown code block, even when told not to.
_FENCE = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)
_MAX_MISMATCH_CHARACTERS = 500


class SchemaMismatch(Conflict):
    """What the model answered does not match the schema, not even after a correction."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool that the model asks for. `arguments` is JSON as the model wrote it, which may be invalid."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that the model may call. `parameters` is the JSON Schema of its arguments, an object."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """What the user or the model said in a conversation, or a tool's result, which belongs to the call `call_id`."""

    role: Literal["user", "assistant", "tool"]
    text: str
    calls: Sequence[ToolCall] = ()
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A conversation whose next turn the model writes."""

    turns: Sequence[Turn]
    system: str = ""
    max_tokens: int = 512
    temperature: float = 0.0
    tools: Sequence[Tool] = ()

    @classmethod
    def of(cls, text: str, system: str = "", max_tokens: int = 512, temperature: float = 0.0) -> "Prompt":
        return cls([Turn("user", text)], system, max_tokens, temperature)


@dataclass(frozen=True, slots=True)
class GeneratedText:
    text: str
    input_tokens: int
    output_tokens: int
    calls: Sequence[ToolCall] = ()


class TextModel(Protocol):
    @property
    def model(self) -> str: ...

    def write(self, prompt: Prompt) -> GeneratedText:
        """Generate text for the prompt, or calls of its tools.

        Raises:
            RateLimited: the model is throttled.
            Unavailable: the model did not respond.
        """


@dataclass(frozen=True, slots=True)
class GenerationResult:
    """The generated text, or the calls of tools that come before it.

    With a schema, `data` is the text parsed as JSON. Token counts include repeated requests.
    """

    text: str
    data: Any
    input_tokens: int
    output_tokens: int
    calls: Sequence[ToolCall] = ()


def generate(
    model: TextModel, prompt: Prompt, schema: Mapping[str, Any] | None, checker: InputChecker
) -> GenerationResult:
    """Generate text. If the text does not match `schema`, repeat the request once with a description of the mismatch.

    Raises:
        SchemaMismatch: the second text does not match the schema either.
    """
    if schema is not None:
        prompt = _with_schema(prompt, schema)
    input_tokens = output_tokens = 0
    mismatch = ""
    for _ in range(2):
        completion = model.write(prompt)
        input_tokens, output_tokens = input_tokens + completion.input_tokens, output_tokens + completion.output_tokens
        text = completion.text
        if schema is None or completion.calls:
            return GenerationResult(text, None, input_tokens, output_tokens, completion.calls)
        try:
            data = read_json(fenced[1] if (fenced := _FENCE.match(text)) else text)
        except ValueError:
            mismatch = "it is not JSON."
        else:
            problems = checker.problems(schema, data)
            if not problems:
                return GenerationResult(text, data, input_tokens, output_tokens)
            mismatch = "; ".join(f"{problem.pointer or '/'}: {problem.message}" for problem in problems)
            mismatch = mismatch[:_MAX_MISMATCH_CHARACTERS]
        correction = Turn("user", f"Your last answer did not match the schema: {mismatch}")
        # Providers refuse a turn without a text.
        prompt = replace(prompt, turns=[*prompt.turns, Turn("assistant", text or "(no answer)"), correction])
    raise SchemaMismatch(f"The text model's answer does not match the schema: {mismatch}")


def _with_schema(prompt: Prompt, schema: Mapping[str, Any]) -> Prompt:
    """Return the prompt with the schema after what the user wrote last. Results of tools may follow it."""
    turns = [*prompt.turns]
    last = max(place for place, turn in enumerate(turns) if turn.role == "user")
    instruction = f"Answer only with JSON that matches this JSON Schema:\n{json.dumps(schema, ensure_ascii=False)}"
    turns[last] = replace(turns[last], text=f"{turns[last].text}\n\n{instruction}")
    return replace(prompt, turns=turns)
