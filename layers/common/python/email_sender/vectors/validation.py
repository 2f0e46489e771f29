"""Validation of points, searches and selectors. Each function returns all problems at once, with JSON pointers."""

import math
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from email_sender.errors import InvalidInput, Problem
from email_sender.vectors.model import (
    ClientId,
    Collection,
    Filter,
    Nearest,
    PointSelector,
    QueryInput,
    Recommend,
    Search,
    TextQuery,
)

# Set by the platform. Clients must not write or filter by it.
_RESERVED = "tenant_id"
_HIGHEST_BYTE = 3 if sys.byteorder == "little" else 0


@dataclass(frozen=True, slots=True)
class NewPoint:
    """A point to insert, as a client sends it: exactly one of `vector` and `text` is set."""

    id: ClientId
    vector: Sequence[float] | None
    text: str | None
    payload: Mapping[str, object]


def raise_for_problems(problems: Sequence[Problem]) -> None:
    """Raise InvalidInput with all problems, if there are any."""
    if problems:
        raise InvalidInput(problems[0].message, problems)


def point_problems(points: Iterable[NewPoint], collection: Collection, at: str = "/points") -> list[Problem]:
    return [
        problem
        for number, point in enumerate(points)
        for problem in _point_problems(point, collection, f"{at}/{number}")
    ]


def _point_problems(point: NewPoint, collection: Collection, at: str) -> list[Problem]:
    problems = payload_problems(point.payload, f"{at}/payload")
    if point.text is not None and collection.model is None:
        problems.append(Problem(f"{at}/text", f"{collection.name} has no embedding model. Send a vector instead."))
    if point.vector is not None:
        problems += vector_problems(point.vector, collection, f"{at}/vector")
    return problems


def payload_problems(keys: Iterable[str], at: str) -> list[Problem]:
    return [Problem(f"{at}/{key}", f"The payload key {key} is reserved.") for key in keys if is_reserved(key)]


def vector_problems(vector: Sequence[float], collection: Collection, at: str) -> list[Problem]:
    if len(vector) != collection.size:
        message = f"{collection.name} holds vectors of {collection.size} dimensions, but this vector has {len(vector)}."
        return [Problem(at, message)]
    floats = vector if isinstance(vector, array) and vector.typecode == "f" else array("f", vector)
    return [] if is_finite(floats) else [Problem(at, "All numbers of a vector must be finite as float32.")]


def is_finite(floats: array[float]) -> bool:
    """Return whether all numbers are finite as float32, the type that the engine stores.

    NaN and infinity have all exponent bits set. The first seven of these bits are in the highest byte, beside the sign,
    and only numbers from 1.7e38 also have all seven set. Checking a quarter of the bytes in C is ten times as fast as
    summing 1,536 floats. Only a vector with such a byte is summed: NaN and infinity survive a sum.
    """
    highest = floats.tobytes()[_HIGHEST_BYTE :: floats.itemsize]
    return (0x7F not in highest and 0xFF not in highest) or math.isfinite(sum(floats))


def search_problems(search: Search[QueryInput], collection: Collection, at: str = "") -> list[Problem]:
    problems = _query_problems(search.query, collection, at) + filter_problems(search.filter, f"{at}/filter")
    if search.group_by is not None and is_reserved(search.group_by):
        problems.append(Problem(f"{at}/group_by", f"The payload key {search.group_by} is reserved."))
    return problems


def _query_problems(query: QueryInput, collection: Collection, at: str) -> list[Problem]:
    if isinstance(query, Nearest):
        return vector_problems(query.vector, collection, f"{at}/vector")
    if isinstance(query, TextQuery):
        if collection.model is None:
            return [Problem(f"{at}/text", f"{collection.name} has no embedding model. Search by vector instead.")]
        if query.hybrid and not collection.lexical:
            message = f"{collection.name} does not support hybrid search. Search by text or by vector instead."
            return [Problem(f"{at}/hybrid", message)]
        return []
    return [
        problem
        for part in ("positive", "negative")
        for number, example in enumerate(_examples(query, part))
        if not isinstance(example, int | UUID)
        for problem in vector_problems(example, collection, f"{at}/recommend/{part}/{number}")
    ]


def _examples(recommend: Recommend, part: str) -> Sequence[ClientId | Sequence[float]]:
    return recommend.positive if part == "positive" else recommend.negative


def selector_problems(selector: PointSelector, at: str) -> list[Problem]:
    return [] if selector.filter is None else filter_problems(selector.filter, f"{at}/filter")


def filter_problems(query_filter: Filter, at: str) -> list[Problem]:
    return [
        Problem(f"{at}/{part}/{number}/key", f"The payload key {condition.key} is reserved.")
        for part in ("must", "should", "must_not")
        for number, condition in enumerate(getattr(query_filter, part))
        if is_reserved(condition.key)
    ]


def is_reserved(key: str) -> bool:
    """Return whether the platform owns this payload key: tenant_id, a path below it, or a name that starts with `_`."""
    return key.startswith("_") or key.split(".")[0].split("[")[0] == _RESERVED
