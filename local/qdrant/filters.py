"""Convert Qdrant's filters to the engine's filters, which have the same structure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import qdrant_edge as edge

from email_sender.adapters.qdrant.wire import pb
from local.qdrant.errors import InvalidArgument
from local.qdrant.values import ids_from


def filter_from(message: pb.Filter) -> edge.Filter:
    """Convert a filter; one without conditions matches every point. Raises InvalidArgument for an empty condition."""
    minimum = None
    if message.HasField("min_should"):
        min_should = message.min_should
        minimum = edge.MinShould(_conditions(min_should.conditions), min_should.min_count)
    return edge.Filter(
        must=_conditions(message.must) or None,
        should=_conditions(message.should) or None,
        must_not=_conditions(message.must_not) or None,
        min_should=minimum,
    )


def filter_of(request: Any) -> edge.Filter | None:
    """Return the filter of a request with an optional ``filter`` field, or None."""
    return filter_from(request.filter) if request.HasField("filter") else None


def combine_filters(first: edge.Filter | None, second: edge.Filter | None) -> edge.Filter | None:
    """Return a filter for points that match both filters; None matches every point."""
    if first is None or second is None:
        return first or second
    return edge.Filter(must=[first, second])


def _conditions(conditions: Iterable[pb.Condition]) -> list[Any]:
    return [_condition(condition) for condition in conditions]


def _condition(condition: pb.Condition) -> Any:
    kind = condition.WhichOneof("condition_one_of")
    if kind is None:
        raise InvalidArgument("Malformed Condition: it is empty")
    return _KINDS[kind](getattr(condition, kind))


def _field(condition: pb.FieldCondition) -> edge.FieldCondition:
    parts = {name: build(getattr(condition, name)) for name, build in _PARTS.items() if condition.HasField(name)}
    if condition.HasField("datetime_range"):
        parts["range"] = _datetimes(condition.datetime_range)
    if not parts:
        raise InvalidArgument(f"Malformed FieldCondition on `{condition.key}`: it is empty")
    return edge.FieldCondition(condition.key, **parts)


def _match(match: pb.Match) -> Any:
    kind = match.WhichOneof("match_value")
    if kind is None:
        raise InvalidArgument("Malformed Match: it is empty")
    return _MATCHES[kind](getattr(match, kind))


def _boolean(value: bool) -> edge.MatchValue:
    # qdrant-edge-py 0.9.0 reads Python's bool as an integer and matches 1, not true. NumPy's bool is not an integer.
    # NumPy is imported here because its import is slower than the server's start, and few filters need it.
    import numpy as np

    return edge.MatchValue(np.bool_(value))  # type: ignore[arg-type]


def _bounds(message: Any, build: Callable[[Any], Any] = lambda bound: bound) -> dict[str, Any]:
    return {name: build(getattr(message, name)) for name in ("lt", "gt", "gte", "lte") if message.HasField(name)}


def _datetimes(message: pb.DatetimeRange) -> edge.RangeDateTime:
    return edge.RangeDateTime(**_bounds(message, lambda stamp: stamp.ToJsonString()))


def _geo(point: pb.GeoPoint) -> edge.GeoPoint:
    return edge.GeoPoint(point.lon, point.lat)


def _line(line: pb.GeoLineString) -> list[edge.GeoPoint]:
    return [_geo(point) for point in line.points]


_KINDS: dict[str, Callable[[Any], Any]] = {
    "field": _field,
    "filter": filter_from,
    "has_id": lambda message: edge.HasIdCondition(set(ids_from(message.has_id))),
    "has_vector": lambda message: edge.HasVectorCondition(message.has_vector),
    "is_empty": lambda message: edge.IsEmptyCondition(message.key),
    "is_null": lambda message: edge.IsNullCondition(message.key),
    "nested": lambda message: edge.NestedCondition(message.key, filter_from(message.filter)),
    "slice": lambda message: edge.SliceCondition(message.total, message.index),  # type: ignore[attr-defined]
}

_PARTS: dict[str, Callable[[Any], Any]] = {
    "match": _match,
    "range": lambda message: edge.RangeFloat(**_bounds(message)),
    "values_count": lambda message: edge.ValuesCount(**_bounds(message)),
    "is_empty": bool,
    "is_null": bool,
    "geo_radius": lambda message: edge.GeoRadius(_geo(message.center), message.radius),
    "geo_bounding_box": lambda message: edge.GeoBoundingBox(_geo(message.top_left), _geo(message.bottom_right)),
    "geo_polygon": lambda message: edge.GeoPolygon(
        _line(message.exterior), [_line(ring) for ring in message.interiors]
    ),
}

_MATCHES: dict[str, Callable[[Any], Any]] = {
    "keyword": edge.MatchValue,
    "integer": edge.MatchValue,
    "boolean": _boolean,
    "text": edge.MatchText,
    "text_any": edge.MatchTextAny,
    "phrase": edge.MatchPhrase,
    "prefix": edge.MatchPrefix,
    "substring": edge.MatchSubstring,
    "keywords": lambda message: edge.MatchAny(list(message.strings)),
    "integers": lambda message: edge.MatchAny(list(message.integers)),
    "except_keywords": lambda message: edge.MatchExcept(list(message.strings)),
    "except_integers": lambda message: edge.MatchExcept(list(message.integers)),
}
