"""ServedCollection collections, their write lock and the notes of changed points: in memory, and in one class."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from email_sender.errors import NotFound, Unavailable
from email_sender.vectors.jobs.ports import ChangedPoint
from email_sender.vectors.served_collections import LazyPointIds, ServedCollection
from tests.fakes.write_versions import MemoryVersions

_ALL = UUID(int=0)


class MemoryServing:
    def __init__(self, versions: MemoryVersions | None = None) -> None:
        self.versions = versions or MemoryVersions()
        self.served_collections: dict[str, ServedCollection] = {}
        # (collection, tenant, point) -> whether a copy claimed it
        self.notes: dict[tuple[str, UUID, UUID], bool] = {}
        self.changed = 0

    # ---- ServedCollectionStore

    def all(self) -> Sequence[ServedCollection]:
        return list(self.served_collections.values())

    # ---- WriteLock

    @contextmanager
    def hold(self, tenant_id: UUID, collection: str, stored_as: str, ids: LazyPointIds) -> Iterator[None]:
        current = self.served_collections.get(collection)
        if current is not None and current.stored_as != stored_as:
            self.changed += 1
            raise Unavailable(f"The collection {collection} has just been switched. Try again.", 1)
        if current is not None and current.noted:
            point_ids = ids()
            for point in [_ALL] if point_ids is None else point_ids:
                self.notes[collection, tenant_id, point] = False
        try:
            yield
        finally:
            self.versions.touch(tenant_id, collection)

    # ---- Registry

    @contextmanager
    def exclusive_access(self, collection: str) -> Iterator["_ExclusiveAccess"]:
        access = _ExclusiveAccess(self, collection)
        yield access
        access.commit()

    def get(self, collection: str) -> ServedCollection:
        served = self.find(collection)
        if served is None:
            raise NotFound(f"The collection {collection} is not served yet. Deploy first.")
        return served

    def find(self, collection: str) -> ServedCollection | None:
        return self.served_collections.get(collection)

    def forget_changes(self, collection: str, changes: Sequence[ChangedPoint] | None) -> None:
        if changes is None:
            self.notes = {key: claimed for key, claimed in self.notes.items() if key[0] != collection}
            return
        for note in changes:
            key = (collection, note.tenant_id, note.point or _ALL)
            if self.notes.get(key):
                del self.notes[key]

    def changed_points(self, collection: str, points: Sequence[tuple[UUID, UUID]]) -> frozenset[UUID]:
        return frozenset(
            point
            for tenant_id, point in points
            if (collection, tenant_id, point) in self.notes or (collection, tenant_id, _ALL) in self.notes
        )

    def count_changes(self, collection: str) -> int:
        return sum(key[0] == collection for key in self.notes)


class _ExclusiveAccess:
    def __init__(self, serving: MemoryServing, collection: str) -> None:
        self._serving, self._collection = serving, collection
        self._claimed_notes: list[tuple[str, UUID, UUID]] = []
        self._served_collection: ServedCollection | None = None

    def claim(self, limit: int) -> Sequence[ChangedPoint]:
        own_notes = [key for key in self._serving.notes if key[0] == self._collection]
        self._claimed_notes = sorted(own_notes, key=lambda key: (not self._serving.notes[key], key))[:limit]
        return [
            ChangedPoint(tenant_id, None if point == _ALL else point) for _, tenant_id, point in self._claimed_notes
        ]

    def serve(self, served: ServedCollection) -> None:
        self._served_collection = served

    def commit(self) -> None:
        for key in self._claimed_notes:
            self._serving.notes[key] = True
        if self._served_collection is not None:
            self._serving.served_collections[self._collection] = self._served_collection
            self._serving.versions.touch_all(self._collection)
