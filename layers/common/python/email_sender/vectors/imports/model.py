"""The data model and the ports of imports."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from email_sender.archive.addresses import Address
from email_sender.archive.mail_kinds import MailKind
from email_sender.archive.message_parser import ParsedMessage
from email_sender.coordination.events import Event
from email_sender.errors import NotFound
from email_sender.security.quotas import QuotaKind


class ImportKind(StrEnum):
    MAILBOX = "mailbox"
    VECTORS = "vectors"


class Format(StrEnum):
    """The format of a file of vectors."""

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
    """An import of a mailbox or of vectors.

    `collection`, `format` and the `payloads_*` fields are set only for imports of vectors. `payloads_bytes` is the
    size of a second file with ids and payloads.
    """

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
    """The progress of an import over `chunks_done` chunks.

    `messages` is the sum of `stored`, `duplicates` and `failed`. In an import of vectors, a message is a row.
    """

    chunks_done: int = 0
    messages: int = 0
    stored: int = 0
    duplicates: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """A message or a row that could not be imported.

    `ordinal` is the position of a message in its mailbox, counted from 0. For vectors, `ordinal` only orders the rows;
    `row` is the position of the row, counted from 0. It is known once all earlier chunks are done.
    """

    ordinal: int
    reason: str
    row: int | None = None


@dataclass(frozen=True, slots=True)
class ChunkRange:
    """The bytes [offset, offset + length) of the uploaded file. `first` is the ordinal of the first message."""

    ordinal: int
    offset: int
    length: int
    first: int


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """A parsed message that is to be archived.

    `ordinal` is its position in the file. `contact` is the contact who wrote it, if one did. `verdict` is the check of
    the mail service that the message failed; such a message is kept and starts nothing.
    """

    ordinal: int
    parsed: ParsedMessage
    contact: Address | None = None
    verdict: str | None = None


@dataclass(frozen=True, slots=True)
class ArchivedMessage:
    """An archived message. `contact_id` is None if no contact wrote it. A message archived earlier is not new."""

    message_id: UUID
    contact_id: UUID | None
    is_new: bool


@dataclass(frozen=True, slots=True)
class AnsweredEmail:
    """An email of the tenant, and the message that answers it."""

    email_id: UUID
    run_id: UUID
    contact_id: UUID
    message_id: UUID


@dataclass(frozen=True, slots=True)
class Answer:
    """A message that answers one of the emails with these ids of the provider, if its contact got one of them.

    `email_ids` are named by the address it was sent to. `is_certain` is false if a program may have written it.
    """

    provider_ids: Sequence[str]
    message_id: UUID
    contact_id: UUID
    is_certain: bool = True
    email_ids: Sequence[UUID] = ()


@dataclass(frozen=True, slots=True)
class MessageLinks:
    """What a message is linked to: the keys it references and its current thread."""

    key: str
    references: Sequence[str]
    thread: UUID | None


@dataclass(frozen=True, slots=True)
class ThreadAssignment:
    """The thread of each message by key, and for each thread that was merged into another, that other thread."""

    threads: Mapping[str, UUID]
    merged: Mapping[UUID, UUID]


class ImportUnit(Protocol):
    """One transaction on imports."""

    @property
    def tenant_id(self) -> UUID: ...

    def add(self, new: Import) -> None: ...

    def get(self, import_id: UUID, *, lock: bool = False) -> Import | None: ...

    def save(self, changed: Import) -> None: ...

    def page(self, before: UUID | None, limit: int) -> Sequence[Import]: ...

    def unfinished(self) -> Sequence[Import]: ...

    def progress(self, import_id: UUID) -> Progress: ...

    def errors(self, import_id: UUID, after: int, limit: int) -> Sequence[RejectedRecord]: ...

    def record_chunk(self, import_id: UUID, chunk: int, progress: Progress, errors: Sequence[RejectedRecord]) -> None:
        """Store the progress and the errors of a chunk. A chunk that is already stored stays unchanged."""

    def links(self, import_id: UUID) -> Sequence[MessageLinks]:
        """Return the links of each message of the import and of the messages that they are connected to."""

    def set_threads(self, assignment: ThreadAssignment) -> None:
        """Store the threads of messages, and delete merged threads."""

    def spend(self, kind: QuotaKind, amount: int = ...) -> None:
        """Count towards a quota of the tenant. Raises QuotaExceeded, and then nothing is stored."""

    def emit(self, event: Event) -> None: ...

    def commit(self) -> None: ...


class ArchiveUnit(ImportUnit, Protocol):
    def archive(self, import_id: UUID, messages: Sequence[IncomingMessage]) -> Sequence[ArchivedMessage]:
        """Store messages and their senders. Messages that are already archived stay unchanged."""

    def erased(self, addresses: Sequence[str]) -> frozenset[str]:
        """Return those of the addresses whose people were erased."""
        ...

    def own_addresses(self) -> Sequence[str]:
        """Return the tenant's sender address and its aliases."""
        ...

    def mark_answered(self, answers: Sequence[Answer], at: datetime) -> Sequence[AnsweredEmail]:
        """Record which message answers each email, and return the emails that were not answered before.

        Only the email's contact answers it. What somebody else wrote, or perhaps a program, is recorded with the email
        and the message, and not returned.
        """

    def mark_waits_answered(self, answer: Answer, at: datetime) -> Sequence[AnsweredEmail]:
        """Record the message as the answer to every email to this contact that a step still waits on."""

    def set_kind(self, message_id: UUID, kind: MailKind) -> None: ...

    def was_sent_within(self, answer: Answer, written_at: datetime, limit: timedelta) -> bool:
        """Return whether an answered email was sent at most `limit` before the answer was written."""
        ...

    def repeats_earlier_message(self, answer: Answer, text: str) -> bool:
        """Return whether this contact sent the same text before, in another message."""
        ...


class ImportUnits(Protocol):
    def __call__(self, tenant_id: UUID) -> AbstractContextManager[ImportUnit]: ...


class ArchiveUnits(Protocol):
    def __call__(self, tenant_id: UUID) -> AbstractContextManager[ArchiveUnit]: ...


class Uploads(Protocol):
    """The bucket of uploaded files."""

    def upload_url(self, key: str, size_bytes: int, seconds: int) -> str:
        """Return a URL that accepts a PUT of exactly `size_bytes` bytes for `seconds` seconds."""
        ...

    def read(self, key: str, version: str | None, offset: int = 0, length: int | None = None) -> Iterable[bytes]:
        """Yield the bytes of the object. Raises NotFound if the object or this version of it does not exist."""


class ImportEngine(Protocol):
    def start_import(self, kind: ImportKind, import_id: UUID, tenant_id: UUID) -> str:
        """Start the state machine for this kind of import and return the id of the execution.

        Starting the same import again changes nothing.
        """

    def is_running(self, execution: str) -> bool: ...


def existing_import(unit: ImportUnit, import_id: UUID, *, lock: bool = False) -> Import:
    """Return the import. Raises NotFound if it does not exist."""
    record = unit.get(import_id, lock=lock)
    if record is None:
        raise NotFound("Import not found.")
    return record
