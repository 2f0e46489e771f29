"""JSON Schemas that the contracts of several actions use."""

from collections.abc import Iterable, Mapping
from typing import Any

Schema = Mapping[str, Any]


def object_of(*required: str, any_of: Iterable[str] = (), **properties: Schema) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        schema["required"] = list(required)
    if any_of:
        schema["anyOf"] = [{"required": [name]} for name in any_of]
    return schema


def list_of(items: Schema, max_items: int) -> Schema:
    return {"type": "array", "items": items, "maxItems": max_items}


TEXT: Schema = {"type": "string"}
ID: Schema = {"type": "string", "minLength": 1, "maxLength": 200}
NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 100}
NUMBER: Schema = {"type": "number"}
ANY: Schema = {}
ANY_OBJECT: Schema = {"type": "object"}
DURATION: Schema = {"type": "string", "format": "duration"}
METHOD: Schema = {"type": "string", "enum": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]}
REQUEST: Mapping[str, Schema] = {
    "url": {"type": "string", "minLength": 1, "maxLength": 4_096},
    "headers": {"type": "object", "additionalProperties": TEXT, "maxProperties": 50},
    "secret_headers": {"type": "object", "additionalProperties": NAME, "maxProperties": 10},
    "timeout": DURATION,
}
POINT_ID: Schema = {"type": ["string", "integer"]}
BOOLEAN: Schema = {"type": "boolean"}
INTEGER: Schema = {"type": "integer"}
PASSAGE: Schema = object_of("start", "end", start=INTEGER, end=INTEGER)
HITS: Schema = list_of(object_of("id", "score", id=POINT_ID, score=NUMBER, passage=PASSAGE), 100)
