"""What is wrong with points, searches and changes, all of it at once."""

import math
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from email_sender.errors import InvalidInput, Problem
from email_sender.vectors.model import (
    Chosen,
    ClientId,
    Collection,
    Filter,
    Nearest,
    Question,
    Recommend,
    Search,
    Words,
)

# Ours to write. A payload is for facts to filter by.
_RESERVED = "tenant_id"
_HIGHEST_BYTE = 3 if sys.byteorder == "little" else 0


@dataclass(frozen=True, slots=True)
class NewPoint:
    """What a client sends: exactly one of `vector` and `text`."""

    id: ClientId
    vector: Sequence[float] | None
    text: str | None
    payload: Mapping[str, object]


def refuse(problems: Sequence[Problem]) -> None:
    if problems:
        raise InvalidInput(problems[0].message, problems)


def point_problems(points: Iterable[NewPoint], collection: Collection, at: str = "/points") -> list[Problem]:
    return [problem for number, point in enumerate(points) for problem in _point(point, collection, f"{at}/{number}")]


def _point(point: NewPoint, collection: Collection, at: str) -> list[Problem]:
    problems = payload_problems(point.payload, f"{at}/payload")
    if point.text is not None and collection.model is None:
        problems.append(Problem(f"{at}/text", f"{collection.name} has no embedding model: send a vector."))
    if point.vector is not None:
        problems += vector_problems(point.vector, collection, f"{at}/vector")
    return problems


def payload_problems(keys: Iterable[str], at: str) -> list[Problem]:
    return [Problem(f"{at}/{key}", f"The key {key} is reserved.") for key in keys if is_reserved(key)]


def vector_problems(vector: Sequence[float], collection: Collection, at: str) -> list[Problem]:
    if len(vector) != collection.size:
        return [Problem(at, f"{collection.name} holds vectors of {collection.size}; this has {len(vector)}.")]
    packed = vector if isinstance(vector, array) and vector.typecode == "f" else array("f", vector)
    return [] if _finite(packed) else [Problem(at, "A vector's numbers are finite.")]


def _finite(packed: array[float]) -> bool:
    """Whether no number is NaN or infinite, as float32, which is what the engine keeps.

    Both have every bit of the exponent set. Its first seven are in a number's highest byte beside the sign, and no
    number below 1.7e38 has them all: one look at a quarter of the bytes, in C, where adding up 1,536 floats takes ten
    times as long. The rare vector that has them is added up: both survive a sum.
    """
    highest = packed.tobytes()[_HIGHEST_BYTE :: packed.itemsize]
    return (0x7F not in highest and 0xFF not in highest) or math.isfinite(sum(packed))


def search_problems(search: Search[Question], collection: Collection, at: str = "") -> list[Problem]:
    problems = _question(search.query, collection, at) + filter_problems(search.filter, f"{at}/filter")
    if search.group_by is not None and is_reserved(search.group_by):
        problems.append(Problem(f"{at}/group_by", f"The key {search.group_by} is reserved."))
    return problems


def _question(question: Question, collection: Collection, at: str) -> list[Problem]:
    if isinstance(question, Nearest):
        return vector_problems(question.vector, collection, f"{at}/vector")
    if isinstance(question, Words):
        if collection.model is None:
            return [Problem(f"{at}/text", f"{collection.name} has no embedding model: search it by vector.")]
        if question.hybrid and not collection.lexical:
            return [Problem(f"{at}/hybrid", f"{collection.name} keeps no words: search it by text or by vector.")]
        return []
    return [
        problem
        for part in ("positive", "negative")
        for number, example in enumerate(_examples(question, part))
        if not isinstance(example, int | UUID)
        for problem in vector_problems(example, collection, f"{at}/recommend/{part}/{number}")
    ]


def _examples(recommend: Recommend, part: str) -> Sequence[ClientId | Sequence[float]]:
    return recommend.positive if part == "positive" else recommend.negative


def chosen_problems(chosen: Chosen, at: str) -> list[Problem]:
    return [] if chosen.filter is None else filter_problems(chosen.filter, f"{at}/filter")


def filter_problems(chosen: Filter, at: str) -> list[Problem]:
    return [
        Problem(f"{at}/{part}/{number}/key", f"The key {condition.key} is reserved.")
        for part in ("must", "should", "must_not")
        for number, condition in enumerate(getattr(chosen, part))
        if is_reserved(condition.key)
    ]


def is_reserved(key: str) -> bool:
    return key.startswith("_") or key.split(".")[0].split("[")[0] == _RESERVED
