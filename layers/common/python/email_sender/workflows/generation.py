"""Generate text, or data that matches a JSON Schema, with a text model."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from email_sender.errors import Conflict
from email_sender.strict_json import read_json
from email_sender.workflows.ports import InputChecker

# Some models wrap JSON in a Markdown code block, even when told not to.
_FENCE = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)
_MAX_MISMATCH_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Prompt:
    text: str
    system: str = ""
    max_tokens: int = 512
    temperature: float = 0.0


@dataclass(frozen=True, slots=True)
class GeneratedText:
    text: str
    input_tokens: int
    output_tokens: int


class TextModel(Protocol):
    @property
    def model(self) -> str: ...

    def write(self, prompt: Prompt) -> GeneratedText:
        """Generate text for the prompt.

        Raises:
            RateLimited: the model is throttled.
            Unavailable: the model did not respond.
        """


@dataclass(frozen=True, slots=True)
class GenerationResult:
    """The generated text. With a schema, `data` is the text parsed as JSON. Token counts include repeated requests."""

    text: str
    data: Any
    input_tokens: int
    output_tokens: int


def generate(
    model: TextModel, prompt: Prompt, schema: Mapping[str, Any] | None, checker: InputChecker
) -> GenerationResult:
    """Generate text. If the text does not match `schema`, repeat the request once with a description of the mismatch.

    Raises:
        Conflict: the second text does not match the schema either.
    """
    if schema is None:
        completion = model.write(prompt)
        return GenerationResult(completion.text, None, completion.input_tokens, completion.output_tokens)
    schema_prompt = replace(
        prompt, text=f"{prompt.text}\n\nAnswer only with JSON that matches this JSON Schema:\n{_to_json(schema)}"
    )
    input_tokens = output_tokens = 0
    mismatch = ""
    for _ in range(2):
        correction = f"\n\nYour last answer did not match the schema: {mismatch}" if mismatch else ""
        completion = model.write(replace(schema_prompt, text=schema_prompt.text + correction))
        input_tokens, output_tokens = input_tokens + completion.input_tokens, output_tokens + completion.output_tokens
        try:
            data = read_json(fenced[1] if (fenced := _FENCE.match(completion.text)) else completion.text)
        except ValueError:
            mismatch = "it is not JSON."
            continue
        problems = checker.problems(schema, data)
        if not problems:
            return GenerationResult(completion.text, data, input_tokens, output_tokens)
        mismatch = "; ".join(f"{problem.pointer or '/'}: {problem.message}" for problem in problems)[
            :_MAX_MISMATCH_CHARACTERS
        ]
    raise Conflict(f"The text model's answer does not match the schema: {mismatch}")


def _to_json(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema, ensure_ascii=False)
