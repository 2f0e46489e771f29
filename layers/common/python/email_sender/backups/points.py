"""The points of a backup: a collection, of all tenants, page by page into the bucket."""

from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import UUID

from email_sender.backups.model import BackupRows, PointsObject, StoredObject
from email_sender.errors import NotFound
from email_sender.vectors.transfer import PointSource, Stored

# Of 1,536 floats, an object has 10 MB.
_POINTS = 1_000
_FIRST = "0"


class Engine(Protocol):
    def points(self, stored_as: str) -> PointSource: ...


class PointsStore(Protocol):
    def put(self, folder: str, prefix: str, points: Sequence[Stored]) -> StoredObject:
        """Under a name that other points do not have."""


class PointsBackup:
    def __init__(self, rows: BackupRows, store: PointsStore, engine: Engine, page: int = _POINTS) -> None:
        self._rows, self._store, self._engine, self._page = rows, store, engine, page

    def work(self, backup_id: UUID, collection: str, parts: Sequence[int], more: Callable[[], bool]) -> bool:
        """Pages of these parts while there is time for `more`. Whether they are done.

        Killed after an object and before its row, it writes the page again, under another name where the points are
        others by then; what no row names is nobody's.

        Raises:
            NotFound: there is no such backup, or the collection was given up meanwhile.
        """
        backup = self._rows.get(backup_id)
        if backup.manifest is None or collection not in backup.manifest.collections:
            raise NotFound("There is no such collection in this backup.")
        source = self._engine.points(backup.manifest.collections[collection].served.stored_as)
        for part in parts:
            last = self._rows.last(backup_id, collection, part)
            while True:
                if not more():
                    return False
                after = last.position if last else ""
                page = source.page(part, after or None, self._page)
                if page is None:
                    break
                prefix = f"vectors/{collection}/{part:02}/{after or _FIRST}"
                stored = self._store.put(backup.folder, prefix, page.points)
                checksum = sum(each.digest for each in page.points) % 2**64
                made = PointsObject(part, after, page.position, len(page.points), checksum, stored)
                last = self._rows.add(backup_id, collection, made)
        return True
