"""The steps of statemachines/backup.asl.json, except for the points. Each step may be killed and repeated.

The database is dumped first. The engine already holds everything that the database records as done (an import's points
are written before its part is counted), so the points that are read afterwards include everything that the dump refers
to.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from email_sender.backups import manifest as manifests
from email_sender.backups.model import (
    Backup,
    BackupRecords,
    BackupStatus,
    BackupStore,
    CollectionDump,
    DatabaseDumper,
    Manifest,
    folder_name,
)
from email_sender.clock import Clock, IdFactory
from email_sender.errors import Conflict
from email_sender.vectors.jobs.transfer import PART_COUNT

# So many functions read a collection in parallel, while the engine also serves searches.
LANES = 4
# The state machine's own timeout is shorter.
_OVERDUE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Lane:
    """Parts of a collection that one function reads one after the other."""

    collection: str
    parts: Sequence[int]


class BackupSteps:
    """`retention` is how long backups are recorded. Their objects in the bucket expire after the same time."""

    def __init__(
        self,
        rows: BackupRecords,
        database: DatabaseDumper,
        store: BackupStore,
        version: str,
        retention: timedelta,
        now: Clock,
        new_id: IdFactory,
    ) -> None:
        self._rows, self._database, self._store = rows, database, store
        self._version, self._retention, self._now, self._new_id = version, retention, now, new_id

    def begin(self, backup_id: UUID) -> Backup:
        """Record a new backup. Delete expired backups and mark overdue ones as failed."""
        at = self._now()
        self._rows.delete_before(at - self._retention)
        self._rows.fail_overdue(at - _OVERDUE, "The backup did not finish within a day.")
        location = self._store.location(folder_name(backup_id, at))
        return self._rows.begin(Backup(backup_id, BackupStatus.RUNNING, at, location))

    def dump(self, backup_id: UUID, has_time_left: Callable[[], bool]) -> list[Lane]:
        """Dump the database. Return the lanes in which the points are to be read.

        Raises:
            Conflict: the database is too large for the time that a function has.
        """
        backup = self._rows.get(backup_id)
        manifest = backup.manifest
        if manifest is None:
            # A folder of its own: an earlier attempt that still writes cannot mix its objects with these.
            prefix = f"database/{self._new_id()}"
            database_dump, served_collections = self._database.dump(
                lambda key: self._store.open_writer(backup.folder, key), prefix, has_time_left
            )  # fmt: skip
            collections = {served.name: CollectionDump(served) for served in served_collections}
            new_manifest = Manifest(backup_id, self._version, backup.started_at, None, database_dump, collections)
            manifest = self._rows.record_dump(backup_id, new_manifest)
        return [
            Lane(name, range(first, PART_COUNT, LANES)) for name in manifest.collections for first in range(LANES)
        ]  # fmt: skip

    def location(self, backup_id: UUID) -> str:
        return self._rows.get(backup_id).location

    def close(self, backup_id: UUID) -> Manifest:
        """Write manifest.json, then mark the backup as completed."""
        backup = self._rows.get(backup_id)
        if backup.manifest is None:
            raise Conflict("The database of this backup has not been dumped.")
        if backup.status is BackupStatus.COMPLETED:
            return backup.manifest
        objects = {name: list(self._rows.objects(backup_id, name)) for name in backup.manifest.collections}
        complete_manifest = manifests.with_objects(backup.manifest, objects, self._now())
        self._store.put(backup.folder, manifests.NAME, manifests.to_bytes(complete_manifest))
        self._rows.complete(complete_manifest)
        return complete_manifest

    def fail(self, backup_id: UUID, reason: str) -> None:
        """Mark the backup as failed. Its objects stay until they expire; without a manifest, they are not a backup."""
        self._rows.finish(backup_id, BackupStatus.FAILED, self._now(), reason=reason[:1000])
