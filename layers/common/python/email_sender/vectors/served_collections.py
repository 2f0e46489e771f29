"""Which engine collection is served under a name, and the lock that every write holds.

A migration changes the collection behind a name while clients write to it. `CollectionCatalogue`, read once per
invocation, says which collection a write was validated and embedded for. The write lock permits the write only while
that collection is still served.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Protocol
from uuid import UUID

from email_sender.errors import Unavailable
from email_sender.vectors.model import (
    ClientId,
    Collection,
    Delete,
    DeletePayload,
    Distance,
    Point,
    SetPayload,
    Upsert,
    Write,
    engine_id,
)
from email_sender.vectors.ports import PointWriter

# How long an execution environment may search the old collection after a switch. The state machine waits this long
# (statemachines/vectors_job.asl.json).
MAX_STALE_SECONDS = 5.0

# Returns the engine's ids of the points that a write affects, or None if a filter selects them.
type LazyPointIds = Callable[[], Sequence[UUID] | None]


@dataclass(frozen=True, slots=True)
class ServedCollection:
    """A served collection. `stored_as` is the engine's collection behind `name`.

    `noted`: writes are recorded as changes, since a migration copies them.
    """

    name: str
    stored_as: str
    size: int
    distance: Distance
    model: str | None
    lexical: bool
    noted: bool = False

    def apply_to(self, collection: Collection) -> Collection:
        """Return `collection` with the size, distance and model that are served."""
        return replace(
            collection, size=self.size, distance=self.distance, model=self.model, lexical=self.lexical
        )  # fmt: skip


class ServedCollectionStore(Protocol):
    def all(self) -> Sequence[ServedCollection]: ...


class CollectionCatalogue(Mapping[str, Collection]):
    """The configured collections as they are served. A collection that was never prepared is returned as configured.

    The contents change only in `refresh`, which is called at the start of an invocation. Within an invocation, a point
    is written to the collection that it was validated and embedded for.
    """

    def __init__(
        self,
        configured: Mapping[str, Collection],
        store: ServedCollectionStore,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._configured, self._store, self._clock = configured, store, clock
        self._served_by_name: Mapping[str, ServedCollection] = {}
        self._read_at: float | None = None

    def refresh(self) -> None:
        """Read the served collections if the last read is too old.

        A failed read keeps the known collections, which are good enough for searches.

        Raises:
            Unavailable: the collections were never read and cannot be read now.
        """
        if self._read_at is not None and self._clock() - self._read_at < MAX_STALE_SECONDS:
            return
        try:
            self._served_by_name = {collection.name: collection for collection in self._store.all()}
        except Unavailable:
            if self._read_at is None:
                raise
        self._read_at = self._clock()

    def invalidate(self) -> None:
        """Discard what is known to be outdated: the next `refresh` reads it again."""
        self._read_at = None

    def stored_as(self, name: str) -> str:
        """Return the engine's name of a collection."""
        served_collection = self._served_by_name.get(name)
        return served_collection.stored_as if served_collection else name

    def __getitem__(self, name: str) -> Collection:
        collection = self._configured[name]
        served_collection = self._served_by_name.get(name)
        return served_collection.apply_to(collection) if served_collection else collection

    def __iter__(self) -> Iterator[str]:
        return iter(self._configured)

    def __len__(self) -> int:
        return len(self._configured)


class WriteLock(Protocol):
    def hold(self, tenant_id: UUID, collection: str, stored_as: str, ids: LazyPointIds) -> AbstractContextManager[None]:
        """Hold a shared lock during a write. Afterwards the collection has a new write version, even after a failure.

        Raises:
            Unavailable: a collection other than `stored_as` is served now, or a switch holds the lock.
        """


class LockingWriter:
    """A PointWriter whose writes hold the write lock."""

    def __init__(self, writer: PointWriter, write_lock: WriteLock, catalogue: CollectionCatalogue) -> None:
        self._writer, self._write_lock, self._catalogue = writer, write_lock, catalogue

    def upsert(self, tenant_id: UUID, collection: str, points: Sequence[Point]) -> None:
        with self._hold_lock(tenant_id, collection, lambda: _point_ids(tenant_id, collection, points)):
            self._writer.upsert(tenant_id, collection, points)

    def write(self, tenant_id: UUID, collection: str, writes: Sequence[Write]) -> None:
        with self._hold_lock(tenant_id, collection, lambda: _write_point_ids(tenant_id, collection, writes)):
            self._writer.write(tenant_id, collection, writes)

    def delete(self, tenant_id: UUID, collection: str, ids: Sequence[ClientId]) -> None:
        with self._hold_lock(
            tenant_id, collection, lambda: [engine_id(tenant_id, collection, point_id) for point_id in ids]
        ):
            self._writer.delete(tenant_id, collection, ids)

    def _hold_lock(self, tenant_id: UUID, collection: str, ids: LazyPointIds) -> AbstractContextManager[None]:
        return self._write_lock.hold(tenant_id, collection, self._catalogue.stored_as(collection), ids)


def _point_ids(tenant_id: UUID, collection: str, points: Sequence[Point]) -> list[UUID]:
    return [engine_id(tenant_id, collection, point.id) for point in points]


def _write_point_ids(tenant_id: UUID, collection: str, writes: Sequence[Write]) -> list[UUID] | None:
    ids: list[UUID] = []
    for write in writes:
        match write:
            case Upsert(points):
                ids += _point_ids(tenant_id, collection, points)
            case Delete(selector) | SetPayload(selector, _) | DeletePayload(selector, _):
                if selector.ids is None:
                    return None
                ids += [engine_id(tenant_id, collection, client_id) for client_id in selector.ids]
    return ids
