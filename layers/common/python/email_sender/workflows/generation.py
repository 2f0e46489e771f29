"""Text, or values of a schema, written by a model."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from email_sender.errors import Conflict
from email_sender.strict_json import read_json
from email_sender.workflows.ports import InputChecker

# Some models put JSON in a block of Markdown, whatever they are told.
_FENCE = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)
_MAX_WORDS = 500


@dataclass(frozen=True, slots=True)
class Prompt:
    text: str
    system: str = ""
    max_tokens: int = 512
    temperature: float = 0.0


@dataclass(frozen=True, slots=True)
class Generated:
    text: str
    input_tokens: int
    output_tokens: int


class TextModel(Protocol):
    @property
    def model(self) -> str: ...

    def write(self, prompt: Prompt) -> Generated:
        """Raises RateLimited, Unavailable."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`data` is the text read as JSON where a schema was given. Tokens are of all that was asked."""

    text: str
    data: Any
    input_tokens: int
    output_tokens: int


def generate(model: TextModel, prompt: Prompt, schema: Mapping[str, Any] | None, checker: InputChecker) -> Answer:
    """Ask once; where the answer is not as the schema says, say so and ask once more.

    Raises:
        Conflict: it is not as the schema says the second time either.
    """
    if schema is None:
        made = model.write(prompt)
        return Answer(made.text, None, made.input_tokens, made.output_tokens)
    asked = replace(prompt, text=f"{prompt.text}\n\nAnswer with JSON alone, as this JSON Schema says:\n{_json(schema)}")
    used_in = used_out = 0
    wrong = ""
    for _ in range(2):
        again = f"\n\nYour last answer was not so: {wrong}" if wrong else ""
        made = model.write(replace(asked, text=asked.text + again))
        used_in, used_out = used_in + made.input_tokens, used_out + made.output_tokens
        try:
            data = read_json(fenced[1] if (fenced := _FENCE.match(made.text)) else made.text)
        except ValueError:
            wrong = "it is no JSON."
            continue
        problems = checker.problems(schema, data)
        if not problems:
            return Answer(made.text, data, used_in, used_out)
        wrong = "; ".join(f"{each.pointer or '/'}: {each.message}" for each in problems)[:_MAX_WORDS]
    raise Conflict(f"The text model did not keep to the schema: {wrong}")


def _json(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema, ensure_ascii=False)
