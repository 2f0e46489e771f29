"""Backs up the points of a collection, of all tenants, page by page to the bucket."""

from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import UUID

from email_sender.backups.model import BackupRecords, PointsObject, StoredObject
from email_sender.errors import NotFound
from email_sender.vectors.jobs.transfer import PointSource, StoredPoint

# With vectors of 1,536 floats, an object has 10 MB.
_POINTS_PER_PAGE = 1_000
_FIRST = "0"


class VectorEngine(Protocol):
    def points(self, stored_as: str) -> PointSource: ...


class PointsStore(Protocol):
    def put(self, folder: str, prefix: str, points: Sequence[StoredPoint]) -> StoredObject:
        """Store the points. The object's name begins with `prefix` and depends on the points."""


class PointsBackup:
    def __init__(
        self, rows: BackupRecords, store: PointsStore, engine: VectorEngine, page_size: int = _POINTS_PER_PAGE
    ) -> None:
        self._rows, self._store, self._engine, self._page_size = rows, store, engine, page_size

    def copy_parts(
        self, backup_id: UUID, collection: str, parts: Sequence[int], has_time_left: Callable[[], bool]
    ) -> bool:
        """Copy pages of these parts while `has_time_left` returns True. Return whether all parts are complete.

        A function that dies after storing an object and before recording it writes the page again, under another name
        if the points have changed since. Objects without a record are ignored.

        Raises:
            NotFound: the backup does not exist, the collection is not part of it, or the collection was deleted.
        """
        backup = self._rows.get(backup_id)
        if backup.manifest is None or collection not in backup.manifest.collections:
            raise NotFound("The collection is not part of this backup.")
        source = self._engine.points(backup.manifest.collections[collection].served.stored_as)
        for part in parts:
            last = self._rows.last_object(backup_id, collection, part)
            while True:
                if not has_time_left():
                    return False
                after = last.position if last else ""
                page = source.page(part, after or None, self._page_size)
                if page is None:
                    break
                prefix = f"vectors/{collection}/{part:02}/{after or _FIRST}"
                stored_object = self._store.put(backup.folder, prefix, page.points)
                checksum = sum(point.digest for point in page.points) % 2**64
                points_object = PointsObject(part, after, page.position, len(page.points), checksum, stored_object)
                last = self._rows.add_object(backup_id, collection, points_object)
        return True
