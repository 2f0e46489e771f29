"""Check the literal parts of a step's `with` against its action's schema.

This is not a JSON Schema validator: values may contain expressions, which have no value before the run and which a
general validator would reject. The action catalogue's schemas use type, enum, properties, required,
additionalProperties, anyOf (of `required`), maxProperties, items, minimum and maximum sizes, and two formats. Handlers
validate the evaluated values again.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from email_sender.workflows.definition.document import DocumentReader, describe_type, join_pointer, json_type_of
from email_sender.workflows.definition.durations import YEAR


def is_expression(value: object) -> bool:
    return isinstance(value, str) and value.startswith("{%") and value.endswith("%}") and len(value) >= 4


def check_literals(schema: Mapping[str, Any], value: object, pointer: str, reader: DocumentReader) -> None:
    """Report the problems of a literal value. Expressions in the value are not checked."""
    if schema.get("format") == "duration":
        # Not an expression: the value becomes the state's TimeoutSeconds, and JSONata cannot parse durations.
        reader.read_duration(value, pointer, 1, YEAR, default=0)
        return
    if is_expression(value):
        return
    json_type = json_type_of(value)
    allowed_types = schema.get("type", json_type)
    allowed_types = [allowed_types] if isinstance(allowed_types, str) else allowed_types
    if json_type not in allowed_types and not (json_type == "integer" and "number" in allowed_types):
        reader.report(
            pointer,
            f"must be {' or '.join(map(describe_type, allowed_types))}, not {describe_type(json_type)}",
        )
        return
    if "enum" in schema and value not in schema["enum"]:
        reader.report(pointer, f"must be one of {', '.join(map(str, schema['enum']))}")
    if isinstance(value, str):
        _check_text(schema, value, pointer, reader)
    elif isinstance(value, Mapping):
        _check_mapping(schema, value, pointer, reader)
    elif isinstance(value, list):
        if len(value) > schema.get("maxItems", len(value)):
            reader.report(pointer, f"must have at most {schema['maxItems']} items, not {len(value)}")
        for index, item in enumerate(value):
            check_literals(schema.get("items", {}), item, join_pointer(pointer, index), reader)
    elif isinstance(value, int | float) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        reader.report(pointer, f"must be between {schema.get('minimum', '-∞')} and {schema.get('maximum', '∞')}")


def _check_text(schema: Mapping[str, Any], value: str, pointer: str, reader: DocumentReader) -> None:
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        max_length = schema.get("maxLength")
        reader.report(pointer, "must not be empty" if not value else f"must have at most {max_length} characters")
    if schema.get("format") == "timestamp":
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            instant = None
        if instant is None or instant.tzinfo is None or "T" not in value:
            reader.report(pointer, f"{value!r} is not a timestamp such as 2026-01-31T09:00:00Z")


def _check_mapping(schema: Mapping[str, Any], value: Mapping[str, Any], pointer: str, reader: DocumentReader) -> None:
    properties: Mapping[str, Any] = schema.get("properties", {})
    known_keys = properties if schema.get("additionalProperties") is False else {*properties, *value}
    reader.check_keys(value, pointer, known_keys, schema.get("required", ()))
    alternatives = [choice["required"][0] for choice in schema.get("anyOf", ())]
    if alternatives and not any(key in value for key in alternatives):
        reader.report(pointer, f"one of {', '.join(alternatives)} is missing")
    if len(value) > schema.get("maxProperties", len(value)):
        reader.report(pointer, f"must have only one of {', '.join(alternatives)}")
    for key, inner in value.items():
        check_literals(properties.get(key, {}), inner, join_pointer(pointer, key), reader)
