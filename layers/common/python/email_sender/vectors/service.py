"""Points of one tenant: insert, search, delete and count."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from email_sender.clock import Clock, IdFactory
from email_sender.coordination.events import EventFactory
from email_sender.errors import InvalidInput, NotFound
from email_sender.vectors.bm25 import document_terms, query_terms
from email_sender.vectors.cache import Embeddings
from email_sender.vectors.model import (
    MAX_POINTS,
    MAX_SEARCHES,
    ClientId,
    Collection,
    Hybrid,
    Nearest,
    Point,
    PreparedQuery,
    QueryInput,
    Search,
    SearchAnswer,
    TextQuery,
)
from email_sender.vectors.ports import EventUnits, PointReader, PointSearch, PointWriter, QuestionSearch
from email_sender.vectors.validation import NewPoint, point_problems, raise_for_problems, search_problems


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """A collection and the number of the tenant's points in it."""

    collection: Collection
    count: int


class VectorService:
    def __init__(
        self,
        writer: PointWriter,
        reader: PointReader,
        search: PointSearch,
        embeddings: Embeddings,
        collections: Mapping[str, Collection],
        units: EventUnits,
        now: Clock,
        new_id: IdFactory,
        questions: Mapping[str, QuestionSearch] | None = None,
    ) -> None:
        """`questions` are the searches of collections whose texts are questions, by collection."""
        self._writer, self._reader, self._search = writer, reader, search
        self._embeddings, self._collections, self._units = embeddings, collections, units
        self._now, self._new_id, self._questions = now, new_id, questions or {}
        self._events = EventFactory("vectors", now, new_id)

    def insert(self, tenant_id: UUID, collection: str, points: Sequence[NewPoint]) -> int:
        """Write all points, or none if one is invalid. Return the number of points.

        The points are written before the event is published. Both are repeatable.

        Raises:
            InvalidInput: the collection is unknown, there are no or too many points, or a point is invalid.
        """
        target = self.collection(collection)
        if not points:
            raise InvalidInput.at("/points", "Send at least one point.")
        if len(points) > MAX_POINTS:
            raise InvalidInput.at("/points", f"Send at most {MAX_POINTS} points per call, or use an import.")
        raise_for_problems(point_problems(points, target))
        vectors = self.embed_points(tenant_id, target, points)
        new_points = [self.build_point(target, point, vector) for point, vector in zip(points, vectors, strict=True)]
        self._writer.upsert(tenant_id, collection, new_points)
        self.publish_counts(tenant_id, {("vectors.inserted", collection): len(points)})
        return len(points)

    def search(self, tenant_id: UUID, collection: str, search: Search[QueryInput]) -> SearchAnswer:
        """Return the hits, or the groups if `group_by` is set."""
        target = self.collection(collection)
        raise_for_problems(search_problems(search, target))
        return self.run_search(tenant_id, target, self.embed_queries(tenant_id, target, [search])[0])

    def search_many(
        self, tenant_id: UUID, collection: str, searches: Sequence[Search[QueryInput]]
    ) -> Sequence[SearchAnswer]:
        """Return the result of each search. All texts are embedded in one call, and all hits are fetched in one call.

        Grouped searches and questions are run one by one, since the engine cannot batch them.
        """
        target = self.collection(collection)
        if not 0 < len(searches) <= MAX_SEARCHES:
            raise InvalidInput.at("/searches", f"Send 1 to {MAX_SEARCHES} searches per call.")
        raise_for_problems(
            [
                problem
                for n, search in enumerate(searches)
                for problem in search_problems(search, target, f"/searches/{n}")
            ]
        )
        return self.run_searches(tenant_id, target, self.embed_queries(tenant_id, target, searches))

    def delete(self, tenant_id: UUID, collection: str, point_id: ClientId) -> None:
        self.collection(collection)
        if not self._reader.has(tenant_id, collection, point_id):
            raise NotFound("Point not found.")
        self._writer.delete(tenant_id, collection, [point_id])
        self.publish_counts(tenant_id, {("vectors.deleted", collection): 1})

    def collections(self, tenant_id: UUID) -> Sequence[CollectionInfo]:
        """Return all collections, with the number of the tenant's points in each."""
        return [
            CollectionInfo(collection, self._reader.count(tenant_id, collection.name))
            for collection in self._collections.values()
        ]

    # ---- Also used by batches --------------------------------------------------------------------------------------

    def collection(self, name: str) -> Collection:
        """Return a collection by name. Raises InvalidInput if it is unknown."""
        collection = self._collections.get(name)
        if collection is None:
            message = f"Unknown collection. The collections are {', '.join(self._collections)}."
            raise InvalidInput.at("/collection", message)
        return collection

    def embed_points(
        self, tenant_id: UUID, collection: Collection, points: Sequence[NewPoint]
    ) -> Sequence[Sequence[float]]:
        """Return the vector of each point. All texts are embedded in one model call."""
        texts = [point.text for point in points if point.text is not None]
        embedded = iter(self._embeddings.embed(tenant_id, collection, texts))
        return [point.vector if point.vector is not None else next(embedded) for point in points]

    def build_point(self, collection: Collection, point: NewPoint, vector: Sequence[float]) -> Point:
        """Return the point to store, with the terms of its text if the collection is lexical."""
        terms = document_terms(point.text) if point.text is not None and collection.lexical else None
        return Point(point.id, vector, point.payload, terms)

    def embed_queries(
        self, tenant_id: UUID, collection: Collection, searches: Sequence[Search[QueryInput]]
    ) -> list[Search[PreparedQuery]]:
        """Return the searches with their texts embedded, in one model call. A QuestionSearch embeds its own text."""
        if collection.name in self._questions:
            return [search.replace_query(search.query) for search in searches]
        texts = [search.query.text for search in searches if isinstance(search.query, TextQuery)]
        vectors = iter(self._embeddings.embed(tenant_id, collection, texts))
        return [search.replace_query(_embed_query(search.query, vectors)) for search in searches]

    def run_search(self, tenant_id: UUID, collection: Collection, search: Search[PreparedQuery]) -> SearchAnswer:
        query = search.query
        if isinstance(query, TextQuery):
            return self._questions[collection.name].search(tenant_id, collection, search.replace_query(query))
        if search.group_by is not None:
            return SearchAnswer(self._search.search_groups(tenant_id, collection.name, search.replace_query(query)))
        return SearchAnswer(self._search.search(tenant_id, collection.name, search.replace_query(query)))

    def run_searches(
        self, tenant_id: UUID, collection: Collection, searches: Sequence[Search[PreparedQuery]]
    ) -> Sequence[SearchAnswer]:
        together = {
            position: search.replace_query(search.query)
            for position, search in enumerate(searches)
            if search.group_by is None and not isinstance(search.query, TextQuery)
        }
        hits = self._search.search_many(tenant_id, collection.name, list(together.values())) if together else ()
        answers = dict(zip(together, map(SearchAnswer, hits), strict=True))
        return [
            answers[position] if position in answers else self.run_search(tenant_id, collection, search)
            for position, search in enumerate(searches)
        ]

    def publish_counts(self, tenant_id: UUID, counts: Mapping[tuple[str, str], int]) -> None:
        """Publish one event for each (event type, collection), in one transaction."""
        with self._units(tenant_id) as unit:
            for (event_type, collection), count in counts.items():
                data = {"collection": collection, "count": count}
                unit.emit(self._events.build(event_type, tenant_id, collection, data))
            unit.commit()


def _embed_query(query: QueryInput, vectors: Iterator[Sequence[float]]) -> PreparedQuery:
    if not isinstance(query, TextQuery):
        return query
    vector = next(vectors)
    return Hybrid(vector, query_terms(query.text)) if query.hybrid else Nearest(vector)
