"""Read the points of a backup. Apart from stored_backup.py, because it loads the engine's protocol."""

from collections.abc import Sequence
from functools import lru_cache

from email_sender.adapters.files.exports import decode_points
from email_sender.adapters.files.stored_backup import StoredBackup, require_same
from email_sender.backups.model import PointsObject
from email_sender.vectors.jobs.transfer import PointPage, StoredPoint


class BackupPointSource:
    """A collection of a backup as a vectors.jobs.transfer.PointSource. A page is one object, whatever the limit."""

    def __init__(self, backup: StoredBackup, pages: Sequence[PointsObject]) -> None:
        self._backup = backup
        self._pages = {(page.part, page.after): page for page in pages}
        # A page is read up to three times in a row: to copy it, to compare it, and for the vectors of a sample.
        self._read = lru_cache(maxsize=1)(self._read_page)

    def page(self, part: int, after: str | None, limit: int, *, vectors: bool = True) -> PointPage | None:  # noqa: ARG002  # the port's
        return self._read(part, after or "")

    def _read_page(self, part: int, after: str) -> PointPage | None:
        page = self._pages.get((part, after))
        return PointPage(read_points(self._backup, page), page.position) if page else None


def read_points(backup: StoredBackup, page: PointsObject) -> list[StoredPoint]:
    """Return the points of one object. Raises NotRestorable if the object is damaged."""
    with backup.open(page.stored_object) as file:
        return decode_points(file.read())


def verify_points(backup: StoredBackup, page: PointsObject) -> None:
    """Raise NotRestorable if an object differs from the manifest."""
    backup.verify_bytes(page.stored_object)
    points = read_points(backup, page)
    checksum = sum(point.digest for point in points) % 2**64
    require_same(page.stored_object.key, (len(points), checksum), (page.points, page.checksum))
