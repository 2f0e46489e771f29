"""What is served, its gate and its notes, in dictionaries: PostgresServed, -Gate and -Registry at once."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from email_sender.errors import NotFound, Unavailable
from email_sender.vectors.job_steps import Note
from email_sender.vectors.serving import Ids, Served
from tests.fakes.vector_cache import MemoryVersions

_ALL = UUID(int=0)


class MemoryServing:
    def __init__(self, versions: MemoryVersions | None = None) -> None:
        self.versions = versions or MemoryVersions()
        self.served: dict[str, Served] = {}
        # (collection, tenant, point) -> whether a copy claimed it
        self.notes: dict[tuple[str, UUID, UUID], bool] = {}
        self.changed = 0

    # ---- ServedStore

    def all(self) -> Sequence[Served]:
        return list(self.served.values())

    # ---- Gate

    @contextmanager
    def open(self, tenant_id: UUID, collection: str, stored_as: str, ids: Ids) -> Iterator[None]:
        served = self.served.get(collection)
        if served is not None and served.stored_as != stored_as:
            self.changed += 1
            raise Unavailable(f"The collection {collection} has just been switched: ask again.", 1)
        if served is not None and served.noted:
            found = ids()
            for point in [_ALL] if found is None else found:
                self.notes[collection, tenant_id, point] = False
        try:
            yield
        finally:
            self.versions.touch(tenant_id, collection)

    # ---- Registry

    @contextmanager
    def alone(self, collection: str) -> Iterator["_Alone"]:
        alone = _Alone(self, collection)
        yield alone
        alone.commit()

    def get(self, collection: str) -> Served:
        found = self.find(collection)
        if found is None:
            raise NotFound(f"Nothing is served as {collection}: deploy first.")
        return found

    def find(self, collection: str) -> Served | None:
        return self.served.get(collection)

    def forget(self, collection: str, notes: Sequence[Note] | None) -> None:
        if notes is None:
            self.notes = {key: claimed for key, claimed in self.notes.items() if key[0] != collection}
            return
        for note in notes:
            key = (collection, note.tenant_id, note.point or _ALL)
            if self.notes.get(key):
                del self.notes[key]

    def noted(self, collection: str, points: Sequence[tuple[UUID, UUID]]) -> frozenset[UUID]:
        return frozenset(
            point
            for tenant_id, point in points
            if (collection, tenant_id, point) in self.notes or (collection, tenant_id, _ALL) in self.notes
        )

    def waiting(self, collection: str) -> int:
        return sum(key[0] == collection for key in self.notes)


class _Alone:
    def __init__(self, of: MemoryServing, collection: str) -> None:
        self._of, self._collection = of, collection
        self._claimed: list[tuple[str, UUID, UUID]] = []
        self._served: Served | None = None

    def claim(self, limit: int) -> Sequence[Note]:
        mine = [key for key in self._of.notes if key[0] == self._collection]
        self._claimed = sorted(mine, key=lambda key: (not self._of.notes[key], key))[:limit]
        return [Note(tenant_id, None if point == _ALL else point) for _, tenant_id, point in self._claimed]

    def serve(self, served: Served) -> None:
        self._served = served

    def commit(self) -> None:
        for key in self._claimed:
            self._of.notes[key] = True
        if self._served is not None:
            self._of.served[self._collection] = self._served
            self._of.versions.touch_all(self._collection)
