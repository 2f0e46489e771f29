"""Payload indexes: the schema of a field, from protobuf to the engine."""

from __future__ import annotations

from typing import Any

import qdrant_edge as edge

from email_sender.adapters.qdrant.wire import pb
from local.qdrant.errors import Invalid

_KINDS = ("Keyword", "Integer", "Float", "Geo", "Text", "Bool", "Datetime", "Uuid")


def schema_of(request: pb.CreateFieldIndexCollection) -> pb.PayloadSchemaInfo:
    """What ``Get`` reports of the index that the request makes. Raises Invalid for an index without a type."""
    params = request.field_index_params
    kind = params.WhichOneof("index_params")
    if kind is not None:
        name = kind.removesuffix("_index_params").capitalize()
        return pb.PayloadSchemaInfo(data_type=pb.PayloadSchemaType.Value(name), params=params)
    if not request.HasField("field_type"):
        raise Invalid("a payload index needs a field type")
    # FieldType counts from 0 and PayloadSchemaType from 1, in the same order.
    return pb.PayloadSchemaInfo(data_type=request.field_type + 1)


def engine_schema(schema: pb.PayloadSchemaInfo) -> Any:
    """The engine's type, or its parameters where there are any."""
    name = _KINDS[schema.data_type - 1]
    kind = schema.params.WhichOneof("index_params")
    if kind is None:
        return getattr(edge.PayloadSchemaType, name)
    message = getattr(schema.params, kind)
    said: dict[str, Any] = {}
    for field, value in message.ListFields():
        if field.name == "memory":
            said["memory"] = getattr(edge.Memory, pb.Memory.Name(value))
        elif field.name in _WORDS:
            said[field.name] = _WORDS[field.name](value)
        else:
            said[field.name] = value
    return getattr(edge, f"{name}IndexParams")(**said)


def _stopwords(message: pb.StopwordsSet) -> edge.StopwordsSet:
    languages = {getattr(edge.Language, language.capitalize()) for language in message.languages}
    return edge.StopwordsSet(languages, set(message.custom))


def _stemmer(message: pb.StemmingAlgorithm) -> Any:
    if message.WhichOneof("stemming_params") == "snowball":
        return edge.SnowballParams(getattr(edge.SnowballLanguage, message.snowball.language.capitalize()))
    return edge.DisabledStemmer()


_WORDS: dict[str, Any] = {
    "prefix": lambda _: True,
    "scoring": lambda _: True,
    "stemmer": _stemmer,
    "stopwords": _stopwords,
    "tokenizer": lambda value: getattr(edge.TokenizerType, pb.TokenizerType.Name(value)),
}
