"""What an import is, and what importing needs of the world."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from email_sender.coordination.events import Event
from email_sender.errors import NotFound
from email_sender.messaging.mail_message import ParsedMessage


class ImportKind(StrEnum):
    MAILBOX = "mailbox"
    VECTORS = "vectors"


class Format(StrEnum):
    """What a file of vectors is."""

    NDJSON = "ndjson"
    NPY = "npy"
    PARQUET = "parquet"


class ImportStatus(StrEnum):
    AWAITING_UPLOAD = "awaiting_upload"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Import:
    """`collection` and `format` are of vectors' imports alone, as is a second file with their ids and payloads."""

    id: UUID
    status: ImportStatus
    file_name: str
    size_bytes: int
    object_key: str
    created_by: str
    created_at: datetime
    object_version: str | None = None
    execution_arn: str | None = None
    chunks: int | None = None
    error: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    kind: ImportKind = ImportKind.MAILBOX
    collection: str | None = None
    format: Format | None = None
    payloads_bytes: int | None = None
    payloads_version: str | None = None

    @property
    def payloads_key(self) -> str:
        return f"{self.object_key}/payloads"


@dataclass(frozen=True, slots=True)
class Progress:
    """`messages` = stored + duplicates + failed, over `chunks_done` chunks. Of vectors, a message is a row."""

    chunks_done: int = 0
    messages: int = 0
    stored: int = 0
    duplicates: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """`ordinal` counts a mailbox's messages from 0; of vectors it orders the rows, and `row` counts them from 0.

    A row's number is known when the chunks before its own are done.
    """

    ordinal: int
    reason: str
    row: int | None = None


@dataclass(frozen=True, slots=True)
class ChunkRange:
    """Bytes [offset, offset + length) of the object; its first message is number `first`."""

    ordinal: int
    offset: int
    length: int
    first: int


@dataclass(frozen=True, slots=True)
class Archived:
    """A message on its way into the archive; `ordinal` is its place in the file."""

    ordinal: int
    parsed: ParsedMessage


@dataclass(frozen=True, slots=True)
class Stored:
    """`contact_id` is None for mail that no person wrote."""

    message_id: UUID
    contact_id: UUID | None
    new: bool


@dataclass(frozen=True, slots=True)
class Answered:
    """An email of ours, and the message that answers it."""

    email_id: UUID
    run_id: UUID
    contact_id: UUID
    message_id: UUID


class ImportUnit(Protocol):
    """One transaction over imports."""

    @property
    def tenant_id(self) -> UUID: ...

    def add(self, new: Import) -> None: ...

    def get(self, import_id: UUID, *, lock: bool = False) -> Import | None: ...

    def save(self, changed: Import) -> None: ...

    def unfinished(self) -> Sequence[Import]: ...

    def progress(self, import_id: UUID) -> Progress: ...

    def errors(self, import_id: UUID, after: int, limit: int) -> Sequence[Refused]: ...

    def chunk_done(self, import_id: UUID, chunk: int, progress: Progress, errors: Sequence[Refused]) -> None: ...

    def links(self, import_id: UUID) -> Sequence[tuple[str, Sequence[str], UUID | None]]:
        """(message key, keys it refers to, its thread so far) of the import's messages and of those they touch."""

    def set_threads(self, threads: Mapping[str, UUID], merged: Mapping[UUID, UUID]) -> None:
        """Message key → thread; thread that is no more → the one it became part of."""

    def emit(self, event: Event) -> None: ...

    def commit(self) -> None: ...


class ArchiveUnit(ImportUnit, Protocol):
    def archive(self, import_id: UUID, messages: Sequence[Archived]) -> Sequence[Stored]:
        """Store messages and their senders. What is there already is found, not written."""

    def answered(self, answers: Mapping[str, UUID], at: datetime) -> Sequence[Answered]:
        """Note the message that answers each email, by the provider's id; those that were answered stay as they are."""


class ImportUnits(Protocol):
    def __call__(self, tenant_id: UUID) -> AbstractContextManager[ImportUnit]: ...


class ArchiveUnits(Protocol):
    def __call__(self, tenant_id: UUID) -> AbstractContextManager[ArchiveUnit]: ...


class Uploads(Protocol):
    """The bucket."""

    def upload_url(self, key: str, size_bytes: int, seconds: int) -> str: ...

    def read(self, key: str, version: str | None, offset: int = 0, length: int | None = None) -> Iterable[bytes]:
        """Raises NotFound where the object or that version of it is gone."""


class ImportEngine(Protocol):
    def start_import(self, kind: ImportKind, import_id: UUID, tenant_id: UUID) -> str:
        """Start the machine of that kind of import and return the execution's id. The same import again is a no-op."""

    def is_running(self, execution: str) -> bool: ...


def existing_import(unit: ImportUnit, import_id: UUID, *, lock: bool = False) -> Import:
    found = unit.get(import_id, lock=lock)
    if found is None:
        raise NotFound("There is no such import.")
    return found
