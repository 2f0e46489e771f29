"""The steps of a mailbox import's state machine. Imports of vectors use the final steps too."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol
from uuid import UUID, uuid5

from email_sender.archive.authorship import OwnAddresses, find_contact
from email_sender.archive.mbox import is_deleted, scan, split
from email_sender.archive.message_index import MessageWriter, record_replies
from email_sender.archive.message_parser import ParsedMessage, TextCleaner, parse
from email_sender.archive.threads import thread_roots
from email_sender.clock import Clock, IdFactory
from email_sender.coordination.events import Event, EventFactory
from email_sender.errors import InvalidInput
from email_sender.vectors.imports.model import (
    ArchiveUnit,
    ArchiveUnits,
    ChunkRange,
    ImportStatus,
    ImportUnits,
    IncomingMessage,
    MessageLinks,
    Progress,
    RejectedRecord,
    ThreadAssignment,
    Uploads,
    existing_import,
)

# An execution of a state machine has at most 25,000 history events; a chunk needs about ten.
_MAX_CHUNKS = 2_000
_MIN_CHUNK_BYTES = 2 * 1024 * 1024


class MailUnpacker(Protocol):
    def unpack(self, key: str, version: str | None, size: int) -> str | None:
        """Store the mail of an archive (zip, gzip, tar) as an mbox and return its key; None if it is no archive.

        Repeating it stores the same mbox.

        Raises:
            InvalidInput: the archive is damaged, has no mail, or has a format that cannot be read.
        """
        ...


class ImportSteps:
    """Plans a mailbox import, and completes or fails any import."""

    def __init__(
        self, units: ImportUnits, uploads: Uploads, unpacker: MailUnpacker | None, now: Clock, new_id: IdFactory
    ) -> None:
        """`unpacker` None: archives are refused."""
        self._units, self._uploads, self._unpacker, self._now = units, uploads, unpacker, now
        self._events = EventFactory("vectors", now, new_id)

    def plan(self, tenant_id: UUID, import_id: UUID) -> Sequence[ChunkRange]:
        """Split the file into chunks at message boundaries. An archive is unpacked first. Takes constant memory.

        Raises:
            InvalidInput: the file is empty, or contains no mail.
        """
        with self._units(tenant_id) as unit:
            record = existing_import(unit, import_id)
        # The record names the mbox only once all of it is stored. If the process dies before, all of it is repeated.
        unpacked_key = (
            self._unpacker.unpack(record.object_key, record.object_version, record.size_bytes)
            if self._unpacker
            else None
        )
        if unpacked_key is not None:
            record = replace(record, object_key=unpacked_key, object_version=None)
        target = max(_MIN_CHUNK_BYTES, record.size_bytes // _MAX_CHUNKS + 1)
        mbox_chunks = scan(self._uploads.read(record.object_key, record.object_version), target_bytes=target)
        chunks = [
            ChunkRange(number, chunk.offset, chunk.length, chunk.ordinal_first)
            for number, chunk in enumerate(mbox_chunks)
        ]
        with self._units(tenant_id) as unit:
            locked_record = existing_import(unit, import_id, lock=True)
            unit.save(
                replace(
                    locked_record,
                    object_key=record.object_key,
                    object_version=record.object_version,
                    chunks=len(chunks),
                )
            )
            unit.commit()
        return chunks

    def finish(self, tenant_id: UUID, import_id: UUID) -> Progress:
        """Join threads and mark the import as completed. A finished import stays unchanged."""
        with self._units(tenant_id) as unit:
            record = existing_import(unit, import_id, lock=True)
            progress: Progress = unit.progress(import_id)
            if record.status is not ImportStatus.PROCESSING:
                return progress
            unit.set_threads(join_threads(tenant_id, unit.links(import_id)))
            unit.save(replace(record, status=ImportStatus.COMPLETED, finished_at=self._now()))
            unit.emit(
                self._build_event(
                    "vectors.import.completed",
                    tenant_id,
                    import_id,
                    messages=progress.messages,
                    stored=progress.stored,
                    duplicates=progress.duplicates,
                    failed=progress.failed,
                )
            )
            unit.commit()
        return progress

    def fail(self, tenant_id: UUID, import_id: UUID, reason: str) -> None:
        """Mark the import as failed. A finished import stays unchanged."""
        with self._units(tenant_id) as unit:
            record = existing_import(unit, import_id, lock=True)
            if record.status is not ImportStatus.PROCESSING:
                return
            unit.save(replace(record, status=ImportStatus.FAILED, error=reason[:1000], finished_at=self._now()))
            unit.emit(self._build_event("vectors.import.failed", tenant_id, import_id, reason=reason[:1000]))
            unit.commit()

    def _build_event(self, event_type: str, tenant_id: UUID, import_id: UUID, **data: Any) -> Event:
        import_data = {"import_id": str(import_id), **data}
        return self._events.build(event_type, tenant_id, import_id, import_data, correlation_id=import_id)


class MailboxChunkImporter:
    """Imports one chunk of a mailbox: archives its messages, embeds them and writes their points."""

    def __init__(
        self,
        units: ArchiveUnits,
        uploads: Uploads,
        cleaner: TextCleaner,
        writer: MessageWriter,
        events: EventFactory,
    ) -> None:
        self._units, self._uploads, self._cleaner = units, uploads, cleaner
        self._writer, self._events = writer, events

    def import_chunk(self, tenant_id: UUID, import_id: UUID, chunk: ChunkRange) -> Progress:
        """Import one chunk. A message that cannot be parsed is recorded as an error; the others are imported.

        The archive is committed before the points are written. If the worker dies in between, the chunk is repeated:
        its messages are already archived, and the same points are written.
        """
        with self._units(tenant_id) as unit:
            record = existing_import(unit, import_id)
        data = b"".join(self._uploads.read(record.object_key, record.object_version, chunk.offset, chunk.length))
        parsed_messages: list[tuple[int, ParsedMessage]] = []
        errors: list[RejectedRecord] = []
        for ordinal, raw in enumerate(split(data), chunk.first):
            if is_deleted(raw):
                errors.append(RejectedRecord(ordinal, "The message was deleted in the mail client."))
                continue
            try:
                parsed_messages.append((ordinal, parse(raw, self._cleaner)))
            except InvalidInput as error:
                errors.append(RejectedRecord(ordinal, error.detail))
        with self._units(tenant_id) as unit:
            own = OwnAddresses.of(unit.own_addresses())
            own = own.with_sent_copies(parsed for _, parsed in parsed_messages)
            found = [IncomingMessage(ordinal, parsed, find_contact(parsed, own)) for ordinal, parsed in parsed_messages]
            messages, refused = leave_out_erased(unit, found)
            errors += [RejectedRecord(message.ordinal, "The author was erased.") for message in refused]
            archived_messages = unit.archive(import_id, messages)
            record_replies(unit, tenant_id, messages, archived_messages, self._events)
            new_count = sum(archived_message.is_new for archived_message in archived_messages)
            progress = Progress(1, len(messages) + len(errors), new_count, len(messages) - new_count, len(errors))
            unit.record_chunk(import_id, chunk.ordinal, progress, errors)
            unit.commit()
        self._writer.write(tenant_id, import_id, messages, archived_messages)
        return progress


def leave_out_erased(
    unit: ArchiveUnit, messages: Sequence[IncomingMessage]
) -> tuple[Sequence[IncomingMessage], Sequence[IncomingMessage]]:
    """Return the messages that may be stored, and those whose authors were erased."""
    erased = unit.erased([message.contact.email for message in messages if message.contact])
    if not erased:
        return messages, []
    refused = [message for message in messages if message.contact and message.contact.email in erased]
    return [message for message in messages if message not in refused], refused


def join_threads(tenant_id: UUID, links: Sequence[MessageLinks]) -> ThreadAssignment:
    """Return the thread of each message. An existing thread keeps its id; of several, the smallest id stays."""
    roots = thread_roots((message.key, message.references) for message in links)
    thread_ids_by_root: dict[str, set[UUID]] = {}
    for message in links:
        if message.thread is not None:
            thread_ids_by_root.setdefault(roots[message.key], set()).add(message.thread)
    thread_by_root = {
        root: min(thread_ids_by_root[root]) if root in thread_ids_by_root else uuid5(tenant_id, f"thread/{root}")
        for root in roots.values()
    }
    threads = {message.key: thread_by_root[roots[message.key]] for message in links}
    merged = {
        old_thread: thread_by_root[root]
        for root, root_thread_ids in thread_ids_by_root.items()
        for old_thread in root_thread_ids
        if old_thread != thread_by_root[root]
    }
    return ThreadAssignment(threads, merged)
