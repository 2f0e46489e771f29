"""Collections, points and searches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid5

from email_sender.errors import InvalidInput

MAX_LIMIT = 100
MAX_POINTS = 1_000
MAX_SEARCHES = 50
MAX_OPERATIONS = 1_000


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
    # Vectors lie on disk and are mapped into memory; else they are in memory altogether.
    on_disk: bool = True
    # None: as all collections of the environment.
    shards: int | None = None
    replicas: int | None = None
    model: str | None = None
    # Whether the words of texts are kept beside their vectors, for hybrid search.
    lexical: bool = False
    # Keys beside tenant_id that filters and groups go by: indexed before there is data.
    indexed: Mapping[str, str] = field(default_factory=dict)


def collections(
    models: Mapping[str, tuple[str, int]], settings: Mapping[str, Mapping[str, Any]] | None = None
) -> Mapping[str, Collection]:
    """The collections of the platform.

    `models` names the embedding model and its size for those that have one; `settings` the fields of a collection
    that this environment has otherwise.

    A model's size is its collection's; one that is there already is served as it is (vectors.serving).

    Raises:
        InvalidInput: a collection that is none of ours.
    """
    found = (
        Collection("task_vectors", 1536, Distance.COSINE, quantized=False, segments=2),
        Collection("document_vectors", 768, Distance.EUCLID, quantized=True),
        Collection(
            "message_vectors",
            256,
            Distance.COSINE,
            quantized=True,
            indexed={"contact": "keyword", "sent_at": "datetime"},
        ),
    )
    settings = settings or {}
    for variable, names in (("EMBEDDING_MODELS", models), ("COLLECTIONS", settings)):
        for name in names:
            if name not in {each.name for each in found}:
                raise InvalidInput(f"{variable}: there is no collection {name}.")
    return {
        each.name: replace(_with_model(each, models.get(each.name)), **settings.get(each.name, {})) for each in found
    }


def _with_model(collection: Collection, model: tuple[str, int] | None) -> Collection:
    if model is None:
        return collection
    name, size = model
    return replace(collection, model=name, size=size, lexical=True)


# A point's id as the client gave it: any UUID, or an unsigned 64-bit integer.
type ClientId = UUID | int


def engine_id(tenant_id: UUID, collection: str, client_id: ClientId) -> UUID:
    """Where a client's point lies: two tenants' equal ids never meet, and a retry is the same write."""
    kind = "n" if isinstance(client_id, int) else "u"
    return uuid5(tenant_id, f"{collection}/{kind}/{client_id}")


@dataclass(frozen=True, slots=True)
class Terms:
    """The words of a text by their hashes, with their weights: `indices` are unsigned 32-bit, each once."""

    indices: Sequence[int]
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Point:
    """`vector` holds as many floats as its collection's size, all finite; an array("f") is stored as it is."""

    id: ClientId
    vector: Sequence[float]
    payload: Mapping[str, Any] = field(default_factory=dict)
    terms: Terms | None = None


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

    def __bool__(self) -> bool:
        return bool(self.must or self.should or self.must_not)


@dataclass(frozen=True, slots=True)
class Nearest:
    """The points nearest to a vector."""

    vector: Sequence[float]


@dataclass(frozen=True, slots=True)
class Hybrid:
    """By a vector and by words, each ranked by itself and the ranks fused (reciprocal rank fusion)."""

    vector: Sequence[float]
    terms: Terms


type Example = ClientId | Sequence[float]


class Strategy(StrEnum):
    """How examples make a score: one average of them, or the best of each by itself."""

    AVERAGE = "average_vector"
    BEST = "best_score"


@dataclass(frozen=True, slots=True)
class Recommend:
    """Points like the positive examples and unlike the negative ones. Points that are examples are not hits."""

    positive: Sequence[Example]
    negative: Sequence[Example] = ()
    strategy: Strategy = Strategy.AVERAGE


@dataclass(frozen=True, slots=True)
class Words:
    """A text to be embedded; with `hybrid`, searched by its words too."""

    text: str
    hybrid: bool = False


type Query = Nearest | Hybrid | Recommend
# As it is asked, before words were embedded.
type Question = Nearest | Words | Recommend


@dataclass(frozen=True, slots=True)
class Search[Q = Query]:
    """`group_by` groups hits by a payload key: `limit` groups of at most `group_size` hits."""

    query: Q
    limit: int = 10
    filter: Filter = field(default_factory=Filter)
    group_by: str | None = None
    group_size: int = 3
    score_threshold: float | None = None
    with_payload: bool = True
    with_vector: bool = False
    exact: bool = False
    hnsw_ef: int | None = None

    def by[R](self, query: R) -> "Search[R]":
        """The same search with another query."""
        return replace(self, query=query)  # type: ignore[arg-type, return-value]  # replace() keeps the type it got


@dataclass(frozen=True, slots=True)
class Chosen:
    """Points that a change is for: exactly one of the two is set."""

    ids: Sequence[ClientId] | None = None
    filter: Filter | None = None


@dataclass(frozen=True, slots=True)
class Upsert:
    points: Sequence[Point]


@dataclass(frozen=True, slots=True)
class Delete:
    chosen: Chosen


@dataclass(frozen=True, slots=True)
class SetPayload:
    """Keys of `payload` replace those of the points; other keys stay."""

    chosen: Chosen
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DeletePayload:
    chosen: Chosen
    keys: Sequence[str]


type Write = Upsert | Delete | SetPayload | DeletePayload


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


type Found = Sequence[Hit] | Sequence[Group]
