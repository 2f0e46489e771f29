"""Check the literal parts of a step's `with` against its action's schema.

Not a JSON Schema validator: values may hold expressions, whose value nobody knows before the run, and a general
validator would refuse them. The catalogue's schemas use type, enum, properties, required, additionalProperties, anyOf
(of `required`), maxProperties, items, the minimum and maximum of sizes, two formats. Handlers validate again.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from email_sender.workflows.durations import YEAR
from email_sender.workflows.reading import Findings, join, kind_of, words


def is_expression(value: object) -> bool:
    return isinstance(value, str) and value.startswith("{%") and value.endswith("%}") and len(value) >= 4


def check_literals(schema: Mapping[str, Any], value: object, pointer: str, found: Findings) -> None:
    if schema.get("format") == "duration":
        # An expression would have to become the state's TimeoutSeconds, and JSONata cannot read a duration.
        found.duration(value, pointer, 1, YEAR, default=0)
        return
    if is_expression(value):
        return
    kind = kind_of(value)
    allowed = schema.get("type", kind)
    allowed = [allowed] if isinstance(allowed, str) else allowed
    if kind not in allowed and not (kind == "integer" and "number" in allowed):
        found.add(pointer, f"must be {' or '.join(words(one) for one in allowed)}, not {words(kind)}")
        return
    if "enum" in schema and value not in schema["enum"]:
        found.add(pointer, f"must be one of {', '.join(map(str, schema['enum']))}")
    if isinstance(value, str):
        _text(schema, value, pointer, found)
    elif isinstance(value, Mapping):
        _mapping(schema, value, pointer, found)
    elif isinstance(value, list):
        if len(value) > schema.get("maxItems", len(value)):
            found.add(pointer, f"must have at most {schema['maxItems']} items, not {len(value)}")
        for index, item in enumerate(value):
            check_literals(schema.get("items", {}), item, join(pointer, index), found)
    elif isinstance(value, int | float) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        found.add(pointer, f"must be between {schema.get('minimum', '-∞')} and {schema.get('maximum', '∞')}")


def _text(schema: Mapping[str, Any], value: str, pointer: str, found: Findings) -> None:
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        most = schema.get("maxLength")
        found.add(pointer, "must not be empty" if not value else f"must have at most {most} characters")
    if schema.get("format") == "timestamp":
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            instant = None
        if instant is None or instant.tzinfo is None or "T" not in value:
            found.add(pointer, f"{value!r} is not an instant such as 2026-01-31T09:00:00Z")


def _mapping(schema: Mapping[str, Any], value: Mapping[str, Any], pointer: str, found: Findings) -> None:
    properties: Mapping[str, Any] = schema.get("properties", {})
    known = properties if schema.get("additionalProperties") is False else {*properties, *value}
    found.keys(value, pointer, known, schema.get("required", ()))
    either = [choice["required"][0] for choice in schema.get("anyOf", ())]
    if either and not any(key in value for key in either):
        found.add(pointer, f"one of {', '.join(either)} is missing")
    if len(value) > schema.get("maxProperties", len(value)):
        found.add(pointer, f"only one of {', '.join(either)} may be given")
    for key, inner in value.items():
        check_literals(properties.get(key, {}), inner, join(pointer, key), found)
