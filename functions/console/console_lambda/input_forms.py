"""Forms for the inputs of workflows, made from their JSON schemas."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class InvalidInputs(ValueError):
    """A field has no value that its type allows. The message names it."""


@dataclass(frozen=True, slots=True)
class Field:
    """`kind` is text, long (a text of several lines), date, email, number, boolean, choice, choices or json."""

    name: str
    kind: str
    is_required: bool
    description: str
    choices: Sequence[str]
    default: str


def fields_of(definition: Mapping[str, Any]) -> Sequence[Field]:
    """Return a field for each input, in the order of `x-order`: the stored schema does not keep that of its names."""
    schema = definition.get("inputs") or {}
    required, order = schema.get("required", []), schema.get("x-order", [])
    properties = schema.get("properties") or {}
    named = [name for name in order if isinstance(name, str) and name in properties] if isinstance(order, list) else []
    return [
        Field(
            name,
            _kind(described),
            name in required,
            str(described.get("description", "")),
            [str(choice) for choice in _choices(described)],
            _default(described),
        )
        for name in dict.fromkeys([*named, *properties])
        if isinstance(described := properties[name], dict)
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
    if field.kind == "choices":
        # One line for each of them.
        return text.split("\n")
    if field.kind == "json":
        try:
            return json.loads(text)
        except ValueError:
            raise InvalidInputs(f'{field.name} must be JSON, such as ["a", "b"] or {{"a": 1}}.') from None
    return text


def _kind(described: Mapping[str, Any]) -> str:
    if "enum" in described and all(isinstance(choice, str) for choice in described["enum"]):
        return "choice"
    if described.get("type") == "array" and _choices(described):
        return "choices"
    if described.get("type") == "string":
        is_long = described.get("contentMediaType") == "text/plain"
        return "long" if is_long else {"date": "date", "email": "email"}.get(str(described.get("format")), "text")
    kinds = {"integer": "number", "number": "number", "boolean": "boolean"}
    return kinds.get(str(described.get("type")), "json")


def _choices(described: Mapping[str, Any]) -> Sequence[Any]:
    """Return the texts of which one, or in a list several, can be chosen."""
    items = described.get("items") if described.get("type") == "array" else described
    choices = items.get("enum") if isinstance(items, Mapping) else None
    return choices if isinstance(choices, list) and all(isinstance(choice, str) for choice in choices) else []


def _default(described: Mapping[str, Any]) -> str:
    default = described.get("default", "")
    if _kind(described) == "choices" and isinstance(default, list):
        return "\n".join(map(str, default))
    return _text(default)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
