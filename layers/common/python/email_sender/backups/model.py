"""What a backup is, and what making one needs of the world."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol
from uuid import NAMESPACE_URL, UUID, uuid5

from email_sender.vectors.serving import Served


class BackupStatus(StrEnum):
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it lies in the bucket. `key` is below the backup's folder; `sha256` is of its bytes there."""

    key: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the dump. `checksum` is the sum of its rows' digests, modulo 2^64: in any order the same."""

    columns: Sequence[str]
    rows: int
    checksum: int
    stored: StoredObject


@dataclass(frozen=True, slots=True)
class DatabaseDump:
    """PostgreSQL at one moment, `taken_at`.

    `migrations`: the SHA-256 of each by its name. `left_out`: tables whose rows are not here, since they are caches or
    say what this platform alone did (its migrations, its backups).
    """

    taken_at: datetime
    server: str
    migrations: Mapping[str, str]
    left_out: Sequence[str]
    tables: Mapping[str, Table]


@dataclass(frozen=True, slots=True)
class PointsObject:
    """A page of a collection's points, by the engine's ids.

    `position` is its last one, `after` the last of the page before.
    """

    part: int
    after: str
    position: str
    points: int
    checksum: int
    stored: StoredObject


@dataclass(frozen=True, slots=True)
class CollectionDump:
    """A collection as it was served when the database was dumped. `checksum`: of ids and payloads."""

    served: Served
    objects: Sequence[PointsObject] = ()

    @property
    def points(self) -> int:
        return sum(each.points for each in self.objects)

    @property
    def checksum(self) -> int:
        return sum(each.checksum for each in self.objects) % 2**64


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is in a backup. `version` is the platform's that made it; `finished_at` None while it is being made."""

    backup_id: UUID
    version: str
    started_at: datetime
    finished_at: datetime | None
    database: DatabaseDump
    collections: Mapping[str, CollectionDump]


@dataclass(frozen=True, slots=True)
class Backup:
    """`manifest` is there once the database is dumped."""

    id: UUID
    status: BackupStatus
    started_at: datetime
    location: str
    manifest: Manifest | None = None
    reason: str | None = None

    @property
    def folder(self) -> str:
        return folder_of(self.id, self.started_at)


def backup_of(execution: str) -> UUID:
    """The id of the backup that an execution of the machine makes: a step that is repeated is of the same one."""
    return uuid5(NAMESPACE_URL, execution)


def folder_of(backup_id: UUID, started_at: datetime) -> str:
    """Where it lies in the bucket: listed in the order of time."""
    return f"{started_at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{backup_id}"


class BackupRows(Protocol):
    """What is known of backups. Each call is a transaction."""

    def begin(self, new: Backup) -> Backup:
        """Add it, unless it is there; what is there."""

    def forget(self, before: datetime) -> int:
        """Take away those that were started before. Returns how many."""

    def give_up(self, before: datetime, reason: str) -> int:
        """Those that were started before and still say that they run have failed."""

    def get(self, backup_id: UUID) -> Backup:
        """Raises NotFound."""

    def note_dump(self, backup_id: UUID, manifest: Manifest) -> Manifest:
        """The first that is noted stands: a step that was thought dead may come second. What stands."""

    def last(self, backup_id: UUID, collection: str, part: int) -> PointsObject | None:
        """The object of that part that was written last."""

    def add(self, backup_id: UUID, collection: str, page: PointsObject) -> PointsObject:
        """The first that follows a page stands. What stands as the part's last."""

    def objects(self, backup_id: UUID, collection: str) -> Sequence[PointsObject]:
        """By part and position."""

    def end(self, backup_id: UUID, status: BackupStatus, at: datetime, *, reason: str | None = None) -> None:
        """Once: one that has ended stays as it is."""

    def complete(self, manifest: Manifest) -> None:
        """Completed, with what the manifest says; its objects of points are forgotten."""


class ObjectWriter(Protocol):
    """A file of bytes on its way into the bucket."""

    def write(self, data: bytes, /) -> int: ...

    def flush(self) -> None: ...

    @property
    def stored(self) -> StoredObject:
        """Once it was closed."""


class BackupStore(Protocol):
    """The bucket."""

    def location(self, folder: str) -> str: ...

    def put(self, folder: str, key: str, content: bytes) -> StoredObject: ...

    def writing(self, folder: str, key: str) -> AbstractContextManager[ObjectWriter]:
        """An object of a length that is not known yet. It is there once the block has ended well, else not at all."""


# Opens an object of the dump by its key.
type OpenObject = Callable[[str], AbstractContextManager[ObjectWriter]]


class Database(Protocol):
    def dump(self, write: OpenObject, prefix: str, more: Callable[[], bool]) -> tuple[DatabaseDump, Sequence[Served]]:
        """Every table as of one moment, an object each below `prefix`, and what was served then.

        Raises:
            Conflict: there was no more time.
        """
