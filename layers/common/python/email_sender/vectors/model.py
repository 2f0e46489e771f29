"""Collections, points, searches and writes of the vector store."""

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
    """A collection of vectors. `model` is the id of its embedding model, or None if clients send their own vectors."""

    name: str
    size: int
    distance: Distance
    quantized: bool
    segments: int | None = None
    # True: vectors are stored on disk and memory-mapped. False: all vectors are held in memory.
    on_disk: bool = True
    # None: use the default of the environment.
    shards: int | None = None
    replicas: int | None = None
    model: str | None = None
    # Whether the terms of texts are stored beside their vectors, for hybrid search.
    lexical: bool = False
    # Payload keys other than tenant_id to filter and group by, with their index types. Indexes are created before data.
    payload_indexes: Mapping[str, str] = field(default_factory=dict)


def build_collections(
    models: Mapping[str, tuple[str, int]], settings: Mapping[str, Mapping[str, Any]] | None = None
) -> Mapping[str, Collection]:
    """Return the collections of the platform by name.

    `models` maps a collection to (embedding model id, vector size). The size of the model replaces the default size.
    `settings` maps a collection to the fields that this environment overrides.

    A collection that exists already keeps the size and model that it is served with (see vectors.served_collections).

    Raises:
        InvalidInput: `models` or `settings` names an unknown collection.
    """
    defaults = (
        Collection("task_vectors", 1536, Distance.COSINE, quantized=False, segments=2),
        Collection("document_vectors", 768, Distance.EUCLID, quantized=True),
        Collection(
            "message_vectors",
            256,
            Distance.COSINE,
            quantized=True,
            payload_indexes={"contact": "keyword", "sent_at": "datetime", "mail_kind": "keyword"},
        ),
    )
    settings = settings or {}
    for variable, names in (("EMBEDDING_MODELS", models), ("COLLECTIONS", settings)):
        for name in names:
            if name not in {collection.name for collection in defaults}:
                raise InvalidInput(f"{variable} names the unknown collection {name}.")
    return {
        collection.name: replace(
            _with_model(collection, models.get(collection.name)), **settings.get(collection.name, {})
        )
        for collection in defaults
    }


def _with_model(collection: Collection, model: tuple[str, int] | None) -> Collection:
    if model is None:
        return collection
    name, size = model
    return replace(collection, model=name, size=size, lexical=True)


# The id that a client gives to a point: any UUID, or an unsigned 64-bit integer.
type ClientId = UUID | int


def engine_id(tenant_id: UUID, collection: str, client_id: ClientId) -> UUID:
    """Return the engine's id of a client's point.

    The id is a hash of the tenant, collection and client id: equal ids of two tenants never collide, and a retry writes
    the same point.
    """
    kind = "n" if isinstance(client_id, int) else "u"
    return uuid5(tenant_id, f"{collection}/{kind}/{client_id}")


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of a text as a sparse vector. `indices` are unsigned 32-bit hashes without duplicates."""

    indices: Sequence[int]
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Point:
    """A point to store. `vector` has as many finite floats as the collection's size; an array("f") is not copied."""

    id: ClientId
    vector: Sequence[float]
    payload: Mapping[str, Any] = field(default_factory=dict)
    terms: Terms | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on a payload key. Exactly one kind of test is set: `any_of`, a range, or `exists`.

    `any_of` matches any of its values. The bounds of a range are all numbers or all times. `exists` tests for the key.
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
    """`must`: all conditions hold. `should`: at least one condition holds. `must_not`: no condition holds."""

    must: Sequence[Condition] = ()
    should: Sequence[Condition] = ()
    must_not: Sequence[Condition] = ()

    def __bool__(self) -> bool:
        return bool(self.must or self.should or self.must_not)


@dataclass(frozen=True, slots=True)
class Nearest:
    """Find the points nearest to a vector."""

    vector: Sequence[float]


@dataclass(frozen=True, slots=True)
class Hybrid:
    """Search by vector and by terms, and fuse the two rankings (reciprocal rank fusion)."""

    vector: Sequence[float]
    terms: Terms


type Example = ClientId | Sequence[float]


class Strategy(StrEnum):
    """How examples produce a score: against the average of the examples, or the best score of any single example."""

    AVERAGE = "average_vector"
    BEST = "best_score"


@dataclass(frozen=True, slots=True)
class Recommend:
    """Find points like the positive and unlike the negative examples. Points used as examples are not returned."""

    positive: Sequence[Example]
    negative: Sequence[Example] = ()
    strategy: Strategy = Strategy.AVERAGE


@dataclass(frozen=True, slots=True)
class TextQuery:
    """Search by a text, which is embedded first. `hybrid` also searches by the terms of the text.

    In `message_vectors`, the text is a question (archive.search). `include_bulk`: newsletters, notifications and other
    mail of machines are searched too. `weak_matches`: messages are returned even if nobody matches.
    """

    text: str
    hybrid: bool = False
    include_bulk: bool = False
    weak_matches: bool = False


type Query = Nearest | Hybrid | Recommend
# A query whose text is embedded, or a question, which its search embeds itself.
type PreparedQuery = Query | TextQuery
# A query as the client sends it, before its text is embedded.
type QueryInput = Nearest | TextQuery | Recommend


@dataclass(frozen=True, slots=True)
class Search[Q = Query]:
    """A search. `group_by` groups hits by a payload key, into `limit` groups of at most `group_size` hits."""

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

    def replace_query[R](self, query: R) -> "Search[R]":
        """Return the same search with another query."""
        return replace(self, query=query)  # type: ignore[arg-type, return-value]  # replace() keeps the type it got


@dataclass(frozen=True, slots=True)
class PointSelector:
    """The points that a write applies to: exactly one of `ids` and `filter` is set."""

    ids: Sequence[ClientId] | None = None
    filter: Filter | None = None


@dataclass(frozen=True, slots=True)
class Upsert:
    points: Sequence[Point]


@dataclass(frozen=True, slots=True)
class Delete:
    selector: PointSelector


@dataclass(frozen=True, slots=True)
class SetPayload:
    """Set the keys of `payload` on the selected points. Their other keys are unchanged."""

    selector: PointSelector
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DeletePayload:
    selector: PointSelector
    keys: Sequence[str]


type Write = Upsert | Delete | SetPayload | DeletePayload


@dataclass(frozen=True, slots=True)
class FoundPassage:
    """The passage of a message that matches best: the characters [start, end) of its text."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class FoundMessage:
    """The archived message of a hit. `passage` is None if the message has no text."""

    subject: str
    sender_name: str | None
    sender_email: str | None
    sent_at: datetime | None
    kind: str
    passage: FoundPassage | None


@dataclass(frozen=True, slots=True)
class Hit:
    """A found point. `message` is set if the point is an archived message that was found by a question."""

    id: ClientId
    score: float
    payload: Mapping[str, Any] = field(default_factory=dict)
    vector: Sequence[float] | None = None
    message: FoundMessage | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Hits that share a payload value. `score` is the score of the best hit; for a question, of all hits together.

    `reason` says in a sentence why a question found this group.
    """

    key: str | int
    score: float
    hits: Sequence[Hit]
    reason: str | None = None


type SearchResult = Sequence[Hit] | Sequence[Group]


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """The result of a search. `nobody` says why no message matches a question, or is None.

    `since` and `until` are the time that the question names.
    """

    result: SearchResult
    nobody: str | None = None
    since: datetime | None = None
    until: datetime | None = None
