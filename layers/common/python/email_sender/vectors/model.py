"""Collections, points and searches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid5

MAX_LIMIT = 100
MAX_POINTS = 1_000


class Distance(StrEnum):
    COSINE = "Cosine"
    EUCLID = "Euclid"


@dataclass(frozen=True, slots=True)
class Collection:
    """`model` is the embedding model whose vectors it holds; None where clients bring their own."""

    name: str
    size: int
    distance: Distance
    quantized: bool
    segments: int | None = None
    model: str | None = None
    # Keys beside tenant_id that filters and groups go by: indexed before there is data.
    indexed: Mapping[str, str] = field(default_factory=dict)


def collections(model: str, size: int) -> Mapping[str, Collection]:
    """The collections of the platform; `model` and `size` are of the configured embedding model."""
    found = (
        Collection("task_vectors", 1536, Distance.COSINE, quantized=False, segments=2),
        Collection("document_vectors", 768, Distance.EUCLID, quantized=True),
        Collection(
            "message_vectors",
            size,
            Distance.COSINE,
            quantized=True,
            model=model,
            indexed={"contact": "keyword", "sent_at": "datetime"},
        ),
    )
    return {each.name: each for each in found}


# A point's id as the client gave it: any UUID, or an unsigned 64-bit integer.
type ClientId = UUID | int


def engine_id(tenant_id: UUID, collection: str, client_id: ClientId) -> UUID:
    """Where a client's point lies: two tenants' equal ids never meet, and a retry is the same write."""
    kind = "n" if isinstance(client_id, int) else "u"
    return uuid5(tenant_id, f"{collection}/{kind}/{client_id}")


@dataclass(frozen=True, slots=True)
class Point:
    """`vector` holds as many floats as its collection's size, all finite."""

    id: ClientId
    vector: Sequence[float]
    payload: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on a payload key; exactly one of the others is set.

    `any_of` matches one of the values; a range's bounds are numbers or times; `exists` asks for the key itself.
    """

    key: str
    any_of: Sequence[str | int | bool] | None = None
    gt: float | datetime | None = None
    gte: float | datetime | None = None
    lt: float | datetime | None = None
    lte: float | datetime | None = None
    exists: bool | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    must: Sequence[Condition] = ()
    should: Sequence[Condition] = ()
    must_not: Sequence[Condition] = ()


@dataclass(frozen=True, slots=True)
class Search:
    """`group_by` groups hits by a payload key: `limit` groups of at most `group_size` hits."""

    vector: Sequence[float]
    limit: int = 10
    filter: Filter = field(default_factory=Filter)
    group_by: str | None = None
    group_size: int = 3
    score_threshold: float | None = None
    with_payload: bool = True
    with_vector: bool = False
    exact: bool = False
    hnsw_ef: int | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    id: ClientId
    score: float
    payload: Mapping[str, Any] = field(default_factory=dict)
    vector: Sequence[float] | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """`score` is of its best hit."""

    key: str | int
    score: float
    hits: Sequence[Hit]
