"""Forms for the inputs of workflows, made from their JSON schemas."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class InvalidInputs(ValueError):
    """A field has no value that its type allows. The message names it."""


@dataclass(frozen=True, slots=True)
class Field:
    """`kind` is text, number, boolean, choice or json."""

    name: str
    kind: str
    is_required: bool
    description: str
    choices: Sequence[str]
    default: str


def fields_of(definition: Mapping[str, Any]) -> Sequence[Field]:
    """Return a field for each input."""
    schema = definition.get("inputs") or {}
    required = schema.get("required", [])
    return [
        Field(
            name,
            _kind(described),
            name in required,
            str(described.get("description", "")),
            [str(choice) for choice in described.get("enum", [])],
            _text(described["default"]) if "default" in described else "",
        )
        for name, described in (schema.get("properties") or {}).items()
        if isinstance(described, dict)
    ]


def inputs_from(definition: Mapping[str, Any], sent: Mapping[str, str]) -> dict[str, Any]:
    """Return the inputs that a person typed. An empty field is left out.

    Raises:
        InvalidInputs: a number or JSON cannot be read.
    """
    inputs: dict[str, Any] = {}
    for field in fields_of(definition):
        text = sent.get(field.name, "").strip()
        if field.kind == "boolean":
            if text or field.is_required:
                inputs[field.name] = text in ("on", "true")
        elif text:
            inputs[field.name] = _value(field, text)
    return inputs


def _value(field: Field, text: str) -> Any:
    if field.kind == "number":
        try:
            return int(text) if text.lstrip("-").isdecimal() else float(text)
        except ValueError:
            raise InvalidInputs(f"{field.name} must be a number.") from None
    if field.kind == "json":
        try:
            return json.loads(text)
        except ValueError:
            raise InvalidInputs(f'{field.name} must be JSON, such as ["a", "b"] or {{"a": 1}}.') from None
    return text


def _kind(described: Mapping[str, Any]) -> str:
    if "enum" in described and all(isinstance(choice, str) for choice in described["enum"]):
        return "choice"
    kinds = {"string": "text", "integer": "number", "number": "number", "boolean": "boolean"}
    return kinds.get(str(described.get("type")), "json")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
