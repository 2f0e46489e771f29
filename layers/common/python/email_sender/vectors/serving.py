"""Which collection of the engine is served under a name, and the gate that every write goes through.

A migration changes what is behind a name while writers are at work. A writer knows what it validated and embedded for
(`ServedCollections`, read once an invocation); the gate lets it write only while that is still what is served.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Protocol
from uuid import UUID

from email_sender.errors import Unavailable
from email_sender.vectors.model import (
    Chosen,
    ClientId,
    Collection,
    Delete,
    DeletePayload,
    Distance,
    Group,
    Hit,
    Point,
    Search,
    SetPayload,
    Upsert,
    Write,
    engine_id,
)
from email_sender.vectors.ports import VectorIndex

# How long a sandbox may search what was served before a switch (statemachines/vectors_job.asl.yaml waits for it).
SECONDS = 5.0

# The engine's ids of the points that a write is for; None where a filter chooses them.
type Ids = Callable[[], Sequence[UUID] | None]


@dataclass(frozen=True, slots=True)
class Served:
    """`stored_as` is the engine's collection behind `name`. `noted`: a migration follows what is written."""

    name: str
    stored_as: str
    size: int
    distance: Distance
    model: str | None
    lexical: bool
    noted: bool = False

    def of(self, configured: Collection) -> Collection:
        return replace(
            configured, size=self.size, distance=self.distance, model=self.model, lexical=self.lexical
        )  # fmt: skip


class ServedStore(Protocol):
    def all(self) -> Sequence[Served]: ...


class ServedCollections(Mapping[str, Collection]):
    """The configured collections, as they are served. What was never prepared is taken as configured.

    It changes in `refresh` alone, which is called where an invocation begins: within one, what a point was checked
    and embedded for is what it is written to.
    """

    def __init__(
        self,
        configured: Mapping[str, Collection],
        store: ServedStore,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._configured, self._store, self._clock = configured, store, clock
        self._served: Mapping[str, Served] = {}
        self._read_at: float | None = None

    def refresh(self) -> None:
        """Raises Unavailable where it was never read and cannot be; else what is known is good enough to search."""
        if self._read_at is not None and self._clock() - self._read_at < SECONDS:
            return
        try:
            self._served = {each.name: each for each in self._store.all()}
        except Unavailable:
            if self._read_at is None:
                raise
        self._read_at = self._clock()

    def forget(self) -> None:
        """It turned out to be old: read at the next `refresh`."""
        self._read_at = None

    def stored_as(self, name: str) -> str:
        """The engine's name of it."""
        served = self._served.get(name)
        return served.stored_as if served else name

    def __getitem__(self, name: str) -> Collection:
        configured = self._configured[name]
        served = self._served.get(name)
        return served.of(configured) if served else configured

    def __iter__(self) -> Iterator[str]:
        return iter(self._configured)

    def __len__(self) -> int:
        return len(self._configured)


class Gate(Protocol):
    def open(self, tenant_id: UUID, collection: str, stored_as: str, ids: Ids) -> AbstractContextManager[None]:
        """While a write is made. Afterwards the collection has another write version, also where the write failed.

        Raises:
            Unavailable: something else than `stored_as` is served by now, or the gate is closed for a switch.
        """


class GatedIndex:
    """A VectorIndex whose writes go through the gate."""

    def __init__(self, index: VectorIndex, gate: Gate, served: ServedCollections) -> None:
        self._index, self._gate, self._served = index, gate, served

    def prepare(self, collection: Collection) -> bool:
        return self._index.prepare(collection)

    def upsert(self, tenant_id: UUID, collection: str, points: Sequence[Point]) -> None:
        with self._open(tenant_id, collection, lambda: _ids_of(tenant_id, collection, points)):
            self._index.upsert(tenant_id, collection, points)

    def write(self, tenant_id: UUID, collection: str, writes: Sequence[Write]) -> None:
        with self._open(tenant_id, collection, lambda: _ids_of_writes(tenant_id, collection, writes)):
            self._index.write(tenant_id, collection, writes)

    def delete(self, tenant_id: UUID, collection: str, ids: Sequence[ClientId]) -> None:
        with self._open(tenant_id, collection, lambda: [engine_id(tenant_id, collection, each) for each in ids]):
            self._index.delete(tenant_id, collection, ids)

    def has(self, tenant_id: UUID, collection: str, point_id: ClientId) -> bool:
        return self._index.has(tenant_id, collection, point_id)

    def search(self, tenant_id: UUID, collection: str, search: Search) -> Sequence[Hit]:
        return self._index.search(tenant_id, collection, search)

    def search_many(self, tenant_id: UUID, collection: str, searches: Sequence[Search]) -> Sequence[Sequence[Hit]]:
        return self._index.search_many(tenant_id, collection, searches)

    def search_groups(self, tenant_id: UUID, collection: str, search: Search) -> Sequence[Group]:
        return self._index.search_groups(tenant_id, collection, search)

    def count(self, tenant_id: UUID, collection: str, chosen: Chosen | None = None) -> int:
        return self._index.count(tenant_id, collection, chosen)

    def _open(self, tenant_id: UUID, collection: str, ids: Ids) -> AbstractContextManager[None]:
        return self._gate.open(tenant_id, collection, self._served.stored_as(collection), ids)


def _ids_of(tenant_id: UUID, collection: str, points: Sequence[Point]) -> list[UUID]:
    return [engine_id(tenant_id, collection, each.id) for each in points]


def _ids_of_writes(tenant_id: UUID, collection: str, writes: Sequence[Write]) -> list[UUID] | None:
    found: list[UUID] = []
    for write in writes:
        match write:
            case Upsert(points):
                found += _ids_of(tenant_id, collection, points)
            case Delete(chosen) | SetPayload(chosen, _) | DeletePayload(chosen, _):
                if chosen.ids is None:
                    return None
                found += [engine_id(tenant_id, collection, each) for each in chosen.ids]
    return found
