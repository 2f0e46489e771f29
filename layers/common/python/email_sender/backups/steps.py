"""The steps of statemachines/backup.asl.yaml, but for the points. Each may be repeated, or be killed and done again.

The database comes first: what it says is done lies in the engine before it says so (an import's points are written
before its part counts), so that points which are read afterwards hold at least what the database speaks of.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from email_sender.ambient import NewId, Now
from email_sender.backups import manifest as manifests
from email_sender.backups.model import (
    Backup,
    BackupRows,
    BackupStatus,
    BackupStore,
    CollectionDump,
    Database,
    Manifest,
    folder_of,
)
from email_sender.errors import Conflict
from email_sender.vectors.transfer import PARTS

# So many functions read a collection side by side, beside the searches that the engine answers.
LANES = 4
# The machine itself ends before.
_OVERDUE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Lane:
    """Parts of a collection that one function reads, one after the other."""

    collection: str
    parts: Sequence[int]


class BackupSteps:
    """`keep` is how long backups are kept; the bucket's lifecycle does the same with what is in it."""

    def __init__(
        self,
        rows: BackupRows,
        database: Database,
        store: BackupStore,
        version: str,
        keep: timedelta,
        now: Now,
        new_id: NewId,
    ) -> None:
        self._rows, self._database, self._store = rows, database, store
        self._version, self._keep, self._now, self._new_id = version, keep, now, new_id

    def begin(self, backup_id: UUID) -> Backup:
        at = self._now()
        self._rows.forget(at - self._keep)
        self._rows.give_up(at - _OVERDUE, "It never ended.")
        location = self._store.location(folder_of(backup_id, at))
        return self._rows.begin(Backup(backup_id, BackupStatus.RUNNING, at, location))

    def dump(self, backup_id: UUID, more: Callable[[], bool]) -> list[Lane]:
        """The database, and what then is to be read of the engine.

        Raises:
            Conflict: the database is too large for the time that a function has.
        """
        backup = self._rows.get(backup_id)
        manifest = backup.manifest
        if manifest is None:
            # A folder of its own: one that was thought dead and still writes cannot mix with this one.
            prefix = f"database/{self._new_id()}"
            dumped, served = self._database.dump(
                lambda key: self._store.writing(backup.folder, key), prefix, more
            )  # fmt: skip
            collections = {each.name: CollectionDump(each) for each in served}
            made = Manifest(backup_id, self._version, backup.started_at, None, dumped, collections)
            manifest = self._rows.note_dump(backup_id, made)
        return [
            Lane(name, range(first, PARTS, LANES)) for name in manifest.collections for first in range(LANES)
        ]  # fmt: skip

    def location(self, backup_id: UUID) -> str:
        return self._rows.get(backup_id).location

    def close(self, backup_id: UUID) -> Manifest:
        """Write manifest.json, and then say that the backup is completed."""
        backup = self._rows.get(backup_id)
        if backup.manifest is None:
            raise Conflict("The database of this backup was not dumped.")
        if backup.status is BackupStatus.COMPLETED:
            return backup.manifest
        objects = {name: list(self._rows.objects(backup_id, name)) for name in backup.manifest.collections}
        whole = manifests.with_objects(backup.manifest, objects, self._now())
        self._store.put(backup.folder, manifests.NAME, manifests.to_bytes(whole))
        self._rows.complete(whole)
        return whole

    def fail(self, backup_id: UUID, reason: str) -> None:
        """What was written stays until its time is over; without a manifest it is nobody's backup."""
        self._rows.end(backup_id, BackupStatus.FAILED, self._now(), reason=reason[:1000])
