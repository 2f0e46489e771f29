"""Convert the schemas of payload indexes from protobuf to the engine's types."""

from __future__ import annotations

from typing import Any

import qdrant_edge as edge

from email_sender.adapters.qdrant.wire import pb
from local.qdrant.errors import InvalidArgument

_KINDS = ("Keyword", "Integer", "Float", "Geo", "Text", "Bool", "Datetime", "Uuid")


def schema_of(request: pb.CreateFieldIndexCollection) -> pb.PayloadSchemaInfo:
    """Return the schema that ``Get`` reports for the new index. Raises InvalidArgument if it has no type."""
    params = request.field_index_params
    kind = params.WhichOneof("index_params")
    if kind is not None:
        name = kind.removesuffix("_index_params").capitalize()
        return pb.PayloadSchemaInfo(data_type=pb.PayloadSchemaType.Value(name), params=params)
    if not request.HasField("field_type"):
        raise InvalidArgument("A payload index needs a field type")
    # FieldType counts from 0 and PayloadSchemaType from 1, in the same order.
    return pb.PayloadSchemaInfo(data_type=request.field_type + 1)


def engine_schema(schema: pb.PayloadSchemaInfo) -> Any:
    """Return the engine's index type, or its parameters if the schema has any."""
    name = _KINDS[schema.data_type - 1]
    kind = schema.params.WhichOneof("index_params")
    if kind is None:
        return getattr(edge.PayloadSchemaType, name)
    message = getattr(schema.params, kind)
    options: dict[str, Any] = {}
    for field, value in message.ListFields():
        if field.name == "memory":
            options["memory"] = getattr(edge.Memory, pb.Memory.Name(value))
        elif field.name in _CONVERTERS:
            options[field.name] = _CONVERTERS[field.name](value)
        else:
            options[field.name] = value
    return getattr(edge, f"{name}IndexParams")(**options)


def _stopwords(message: pb.StopwordsSet) -> edge.StopwordsSet:
    languages = {getattr(edge.Language, language.capitalize()) for language in message.languages}
    return edge.StopwordsSet(languages, set(message.custom))


def _stemmer(message: pb.StemmingAlgorithm) -> Any:
    if message.WhichOneof("stemming_params") == "snowball":
        return edge.SnowballParams(getattr(edge.SnowballLanguage, message.snowball.language.capitalize()))
    return edge.DisabledStemmer()


_CONVERTERS: dict[str, Any] = {
    "prefix": lambda _: True,
    "scoring": lambda _: True,
    "stemmer": _stemmer,
    "stopwords": _stopwords,
    "tokenizer": lambda value: getattr(edge.TokenizerType, pb.TokenizerType.Name(value)),
}
