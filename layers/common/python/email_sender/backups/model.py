"""The data of backups, and the ports that making a backup needs."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol
from uuid import NAMESPACE_URL, UUID, uuid5

from email_sender.errors import Conflict
from email_sender.vectors.served_collections import ServedCollection


class NotRestorable(Conflict):
    """The backup cannot be restored here. The message says why. Nothing was changed."""


class BackupStatus(StrEnum):
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object in the bucket. `key` is relative to the backup's folder; `sha256` is the digest of the stored bytes."""

    key: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a dump. `checksum` is the sum of its rows' digests modulo 2^64, which ignores their order."""

    columns: Sequence[str]
    rows: int
    checksum: int
    stored_object: StoredObject


@dataclass(frozen=True, slots=True)
class DatabaseDump:
    """A dump of PostgreSQL as of one moment, `taken_at`.

    `migrations` holds the SHA-256 of each migration by its name. `left_out` names the tables whose rows are not dumped:
    caches, and tables about this installation alone (its migrations, its backups).
    """

    taken_at: datetime
    server: str
    migrations: Mapping[str, str]
    left_out: Sequence[str]
    tables: Mapping[str, Table]


@dataclass(frozen=True, slots=True)
class PointsObject:
    """A page of a collection's points in the order of the engine's ids.

    `position` is the id of the page's last point, `after` that of the previous page ("" for the first page).
    """

    part: int
    after: str
    position: str
    points: int
    checksum: int
    stored_object: StoredObject


@dataclass(frozen=True, slots=True)
class CollectionDump:
    """A collection as it was served at the moment of the database dump. `checksum` covers ids and payloads."""

    served: ServedCollection
    objects: Sequence[PointsObject] = ()

    @property
    def points(self) -> int:
        return sum(points_object.points for points_object in self.objects)

    @property
    def checksum(self) -> int:
        return sum(points_object.checksum for points_object in self.objects) % 2**64


@dataclass(frozen=True, slots=True)
class Manifest:
    """The contents of a backup. `version` is the platform's; `finished_at` is None until the backup is complete."""

    backup_id: UUID
    version: str
    started_at: datetime
    finished_at: datetime | None
    database: DatabaseDump
    collections: Mapping[str, CollectionDump]


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup and its status. `manifest` is None until the database is dumped."""

    id: UUID
    status: BackupStatus
    started_at: datetime
    location: str
    manifest: Manifest | None = None
    reason: str | None = None

    @property
    def folder(self) -> str:
        return folder_name(self.id, self.started_at)


def backup_id_for(execution: str) -> UUID:
    """Return the backup id of a state machine execution. A step that is repeated gets the same id."""
    return uuid5(NAMESPACE_URL, execution)


def folder_name(backup_id: UUID, started_at: datetime) -> str:
    """Return the name of the backup's folder in the bucket. Names sort by time."""
    return f"{started_at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{backup_id}"


class BackupRecords(Protocol):
    """The stored state of backups. Each call is a transaction of its own."""

    def begin(self, new: Backup) -> Backup:
        """Add the backup unless it exists. Return the stored backup."""

    def delete_before(self, before: datetime) -> int:
        """Delete the backups that were started before `before`. Return how many."""

    def fail_overdue(self, before: datetime, reason: str) -> int:
        """Mark the running backups that were started before `before` as failed. Return how many."""

    def get(self, backup_id: UUID) -> Backup:
        """Raises NotFound."""

    def record_dump(self, backup_id: UUID, manifest: Manifest) -> Manifest:
        """Store the manifest of the dump unless one is stored: an attempt that seemed dead may still finish.

        Returns the stored manifest.
        """

    def last_object(self, backup_id: UUID, collection: str, part: int) -> PointsObject | None:
        """Return the part's object that was written last, or None."""

    def add_object(self, backup_id: UUID, collection: str, points_object: PointsObject) -> PointsObject:
        """Add an object unless one with the same `after` exists. Return the part's last object."""

    def objects(self, backup_id: UUID, collection: str) -> Sequence[PointsObject]:
        """Return the collection's objects by part and position."""

    def finish(self, backup_id: UUID, status: BackupStatus, at: datetime, *, reason: str | None = None) -> None:
        """Set the final status. A backup that has already ended does not change."""

    def complete(self, manifest: Manifest) -> None:
        """Mark the backup as completed with its manifest, and delete the records of its points objects."""


class ObjectWriter(Protocol):
    """A file that is being written to the bucket."""

    def write(self, data: bytes, /) -> int: ...

    def flush(self) -> None: ...

    @property
    def stored_object(self) -> StoredObject:
        """The stored object. Available only after the writer is closed."""


class BackupStore(Protocol):
    """The bucket of backups."""

    def location(self, folder: str) -> str: ...

    def put(self, folder: str, key: str, content: bytes) -> StoredObject: ...

    def open_writer(self, folder: str, key: str) -> AbstractContextManager[ObjectWriter]:
        """Open an object of unknown length. It is stored only if the block ends without an exception."""


# Opens an object of the dump for writing, by its key.
type OpenObject = Callable[[str], AbstractContextManager[ObjectWriter]]


class DatabaseDumper(Protocol):
    def dump(
        self, write: OpenObject, prefix: str, has_time_left: Callable[[], bool]
    ) -> tuple[DatabaseDump, Sequence[ServedCollection]]:
        """Dump every table as of one moment, as one object each below `prefix`.

        Returns the dump, and the collections that were served at that moment.

        Raises:
            Conflict: `has_time_left` returned False before the dump was complete.
        """
