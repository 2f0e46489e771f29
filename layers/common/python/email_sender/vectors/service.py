"""Points of one tenant: insert, search, delete, count."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from email_sender.ambient import NewId, Now
from email_sender.coordination.events import Event
from email_sender.errors import InvalidInput, NotFound
from email_sender.vectors.caching import Embeddings
from email_sender.vectors.lexical import query_terms, terms_of
from email_sender.vectors.model import (
    MAX_POINTS,
    MAX_SEARCHES,
    ClientId,
    Collection,
    Found,
    Hybrid,
    Nearest,
    Point,
    Query,
    Question,
    Search,
    Words,
)
from email_sender.vectors.ports import EventUnits, VectorIndex
from email_sender.vectors.validation import NewPoint, point_problems, refuse, search_problems


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    collection: Collection
    count: int


class VectorService:
    def __init__(
        self,
        index: VectorIndex,
        embeddings: Embeddings,
        collections: Mapping[str, Collection],
        units: EventUnits,
        now: Now,
        new_id: NewId,
    ) -> None:
        self._index, self._embeddings, self._collections, self._units = index, embeddings, collections, units
        self._now, self._new_id = now, new_id

    def insert(self, tenant_id: UUID, collection: str, points: Sequence[NewPoint]) -> int:
        """Write all of them, or none where one is wrong. Returns how many.

        The points are written before the event that tells of them; both are repeatable.
        """
        target = self.collection(collection)
        if not points:
            raise InvalidInput.at("/points", "There are no points.")
        if len(points) > MAX_POINTS:
            raise InvalidInput.at("/points", f"At most {MAX_POINTS} points a call; an import takes more.")
        refuse(point_problems(points, target))
        vectors = self.vectors_of(tenant_id, target, points)
        made = [self.point(target, point, vector) for point, vector in zip(points, vectors, strict=True)]
        self._index.upsert(tenant_id, collection, made)
        self.tell(tenant_id, {("vectors.inserted", collection): len(points)})
        return len(points)

    def search(self, tenant_id: UUID, collection: str, search: Search[Question]) -> Found:
        """Hits, or groups where `group_by` is set."""
        target = self.collection(collection)
        refuse(search_problems(search, target))
        return self.found(tenant_id, target, self.resolved(tenant_id, target, [search])[0])

    def search_many(self, tenant_id: UUID, collection: str, searches: Sequence[Search[Question]]) -> Sequence[Found]:
        """The answers to several questions: one call of the embedding model, and one of the engine for all hits.

        Groups are asked for one by one, since the engine has no call for several.
        """
        target = self.collection(collection)
        if not 0 < len(searches) <= MAX_SEARCHES:
            raise InvalidInput.at("/searches", f"1 to {MAX_SEARCHES} searches a call.")
        refuse(
            [each for n, search in enumerate(searches) for each in search_problems(search, target, f"/searches/{n}")]
        )
        return self.found_many(tenant_id, target, self.resolved(tenant_id, target, searches))

    def delete(self, tenant_id: UUID, collection: str, point_id: ClientId) -> None:
        self.collection(collection)
        if not self._index.has(tenant_id, collection, point_id):
            raise NotFound("There is no such point.")
        self._index.delete(tenant_id, collection, [point_id])
        self.tell(tenant_id, {("vectors.deleted", collection): 1})

    def collections(self, tenant_id: UUID) -> Sequence[CollectionInfo]:
        return [CollectionInfo(each, self._index.count(tenant_id, each.name)) for each in self._collections.values()]

    # ---- what batches are made of, too ----------------------------------------------------------------------------

    def collection(self, name: str) -> Collection:
        """Raises InvalidInput for an unknown one."""
        found = self._collections.get(name)
        if found is None:
            raise InvalidInput.at("/collection", f"The collections are {', '.join(self._collections)}.")
        return found

    def vectors_of(
        self, tenant_id: UUID, collection: Collection, points: Sequence[NewPoint]
    ) -> Sequence[Sequence[float]]:
        """The vector of each: its own, or its text's by one call of the model."""
        texts = [point.text for point in points if point.text is not None]
        embedded = iter(self._embeddings.embed(tenant_id, collection, texts))
        return [point.vector if point.vector is not None else next(embedded) for point in points]

    def point(self, collection: Collection, point: NewPoint, vector: Sequence[float]) -> Point:
        terms = terms_of(point.text) if point.text is not None and collection.lexical else None
        return Point(point.id, vector, point.payload, terms)

    def resolved(self, tenant_id: UUID, collection: Collection, searches: Sequence[Search[Question]]) -> list[Search]:
        """The searches with their words embedded, in one call of the model."""
        texts = [each.query.text for each in searches if isinstance(each.query, Words)]
        vectors = iter(self._embeddings.embed(tenant_id, collection, texts))
        return [each.by(_resolved(each.query, vectors)) for each in searches]

    def found(self, tenant_id: UUID, collection: Collection, search: Search) -> Found:
        if search.group_by is not None:
            return self._index.search_groups(tenant_id, collection.name, search)
        return self._index.search(tenant_id, collection.name, search)

    def found_many(self, tenant_id: UUID, collection: Collection, searches: Sequence[Search]) -> Sequence[Found]:
        plain = [each for each in searches if each.group_by is None]
        hits = iter(self._index.search_many(tenant_id, collection.name, plain) if plain else ())
        return [
            next(hits) if each.group_by is None else self._index.search_groups(tenant_id, collection.name, each)
            for each in searches
        ]

    def tell(self, tenant_id: UUID, counts: Mapping[tuple[str, str], int]) -> None:
        """One event for each (type, collection), in one transaction."""
        with self._units(tenant_id) as unit:
            for (kind, collection), count in counts.items():
                unit.emit(
                    Event(
                        id=self._new_id(),
                        type=kind,
                        area="vectors",
                        tenant_id=tenant_id,
                        aggregate_id=collection,
                        occurred_at=self._now(),
                        data={"collection": collection, "count": count},
                    )
                )
            unit.commit()


def _resolved(question: Question, vectors: Iterator[Sequence[float]]) -> Query:
    if not isinstance(question, Words):
        return question
    vector = next(vectors)
    return Hybrid(vector, query_terms(question.text)) if question.hybrid else Nearest(vector)
