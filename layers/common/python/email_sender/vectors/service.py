"""Points of one tenant: insert, search, delete, count."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from email_sender.ambient import NewId, Now
from email_sender.coordination.events import Event
from email_sender.errors import InvalidInput, NotFound, Problem
from email_sender.vectors.model import MAX_POINTS, ClientId, Collection, Filter, Group, Hit, Point, Search
from email_sender.vectors.ports import Embedder, EventUnits, VectorIndex

# Ours to write. A payload is for facts to filter by.
_RESERVED = "tenant_id"
_FLOAT32_MAX = 3.4028234e38


@dataclass(frozen=True, slots=True)
class NewPoint:
    """What a client sends: exactly one of `vector` and `text`."""

    id: ClientId
    vector: Sequence[float] | None
    text: str | None
    payload: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    collection: Collection
    count: int


class VectorService:
    def __init__(
        self,
        index: VectorIndex,
        embedder: Embedder,
        collections: Mapping[str, Collection],
        units: EventUnits,
        now: Now,
        new_id: NewId,
    ) -> None:
        self._index, self._embedder, self._collections, self._units = index, embedder, collections, units
        self._now, self._new_id = now, new_id

    def insert(self, tenant_id: UUID, collection: str, points: Sequence[NewPoint]) -> int:
        """Write all of them, or none where one is wrong. Returns how many.

        The points are written before the event that tells of them; both are repeatable.
        """
        target = self._collection(collection)
        if not points:
            raise InvalidInput.at("/points", "There are no points.")
        if len(points) > MAX_POINTS:
            raise InvalidInput.at("/points", f"At most {MAX_POINTS} points a call; an import takes more.")
        problems = [problem for number, point in enumerate(points) for problem in _problems(number, point, target)]
        if problems:
            raise InvalidInput(problems[0].message, problems)
        self._index.upsert(tenant_id, collection, self._embedded(points))
        with self._units(tenant_id) as unit:
            unit.emit(self._told("vectors.inserted", tenant_id, collection, len(points)))
            unit.commit()
        return len(points)

    def search(
        self, tenant_id: UUID, collection: str, search: Search, text: str | None = None
    ) -> Sequence[Hit] | Sequence[Group]:
        """Hits, or groups where `group_by` is set. `text` is embedded in place of the vector."""
        target = self._collection(collection)
        if text is not None:
            if target.model is None:
                raise InvalidInput.at("/text", f"{collection} has no embedding model: search it by vector.")
            search = replace(search, vector=self._embedder.embed([text])[0])
        problems = _vector_problems(search.vector, target, "/vector") + _filter_problems(search.filter)
        if search.group_by is not None and is_reserved(search.group_by):
            problems.append(Problem("/group_by", f"The key {search.group_by} is reserved."))
        if problems:
            raise InvalidInput(problems[0].message, problems)
        if search.group_by is not None:
            return self._index.search_groups(tenant_id, collection, search)
        return self._index.search(tenant_id, collection, search)

    def delete(self, tenant_id: UUID, collection: str, point_id: ClientId) -> None:
        self._collection(collection)
        if not self._index.has(tenant_id, collection, point_id):
            raise NotFound("There is no such point.")
        self._index.delete(tenant_id, collection, [point_id])
        with self._units(tenant_id) as unit:
            unit.emit(self._told("vectors.deleted", tenant_id, collection, 1))
            unit.commit()

    def collections(self, tenant_id: UUID) -> Sequence[CollectionInfo]:
        return [CollectionInfo(each, self._index.count(tenant_id, each.name)) for each in self._collections.values()]

    def _collection(self, name: str) -> Collection:
        found = self._collections.get(name)
        if found is None:
            raise InvalidInput.at("/collection", f"The collections are {', '.join(self._collections)}.")
        return found

    def _embedded(self, points: Sequence[NewPoint]) -> list[Point]:
        texts = [point.text for point in points if point.text is not None]
        vectors = iter(self._embedder.embed(texts) if texts else ())
        return [
            Point(point.id, point.vector if point.vector is not None else next(vectors), point.payload)
            for point in points
        ]

    def _told(self, kind: str, tenant_id: UUID, collection: str, count: int) -> Event:
        return Event(
            id=self._new_id(),
            type=kind,
            area="vectors",
            tenant_id=tenant_id,
            aggregate_id=collection,
            occurred_at=self._now(),
            data={"collection": collection, "count": count},
        )


def _problems(number: int, point: NewPoint, collection: Collection) -> list[Problem]:
    at = f"/points/{number}"
    problems = [
        Problem(f"{at}/payload/{key}", f"The key {key} is reserved.") for key in point.payload if is_reserved(key)
    ]
    if point.text is not None and collection.model is None:
        problems.append(Problem(f"{at}/text", f"{collection.name} has no embedding model: send a vector."))
    if point.vector is not None:
        problems += _vector_problems(point.vector, collection, f"{at}/vector")
    return problems


def _vector_problems(vector: Sequence[float], collection: Collection, pointer: str) -> list[Problem]:
    if len(vector) != collection.size:
        return [Problem(pointer, f"{collection.name} holds vectors of {collection.size}; this has {len(vector)}.")]
    # The engine keeps float32. NaN survives a sum, and the rest shows at the ends: passes in C, not a test a number.
    if not math.isfinite(sum(vector)) or max(vector) > _FLOAT32_MAX or min(vector) < -_FLOAT32_MAX:
        return [Problem(pointer, "A vector's numbers are finite.")]
    return []


def _filter_problems(chosen: Filter) -> list[Problem]:
    return [
        Problem(f"/filter/{part}/{number}/key", f"The key {condition.key} is reserved.")
        for part in ("must", "should", "must_not")
        for number, condition in enumerate(getattr(chosen, part))
        if is_reserved(condition.key)
    ]


def is_reserved(key: str) -> bool:
    return key.startswith("_") or key.split(".")[0].split("[")[0] == _RESERVED
