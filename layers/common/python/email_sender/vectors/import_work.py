"""The steps of an import's state machine."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid5

from email_sender.ambient import NewId, Now
from email_sender.coordination.events import Event
from email_sender.errors import InvalidInput
from email_sender.messaging.mail_message import TextCleaner, parse
from email_sender.messaging.mbox import scan, split
from email_sender.messaging.threads import thread_roots
from email_sender.vectors.import_model import (
    Archived,
    ArchiveUnits,
    ChunkRange,
    ImportStatus,
    ImportUnits,
    Progress,
    Refused,
    Uploads,
    existing_import,
)
from email_sender.vectors.messages import MessageWriter, note_replies

# A state machine's run has 25,000 events of history, about ten a chunk.
_MAX_CHUNKS = 2_000
_MIN_CHUNK_BYTES = 2 * 1024 * 1024


class ImportSteps:
    """The beginning and the end."""

    def __init__(self, units: ImportUnits, uploads: Uploads, now: Now, new_id: NewId) -> None:
        self._units, self._uploads, self._now, self._new_id = units, uploads, now, new_id

    def plan(self, tenant_id: UUID, import_id: UUID) -> Sequence[ChunkRange]:
        """Cut the file into chunks at message boundaries, reading it once in constant memory.

        Raises:
            InvalidInput: it is empty, or not an mbox.
        """
        with self._units(tenant_id) as unit:
            known = existing_import(unit, import_id)
        target = max(_MIN_CHUNK_BYTES, known.size_bytes // _MAX_CHUNKS + 1)
        found = scan(self._uploads.read(known.object_key, known.object_version), target_bytes=target)
        chunks = [
            ChunkRange(number, chunk.offset, chunk.length, chunk.ordinal_first) for number, chunk in enumerate(found)
        ]
        with self._units(tenant_id) as unit:
            unit.save(replace(existing_import(unit, import_id, lock=True), chunks=len(chunks)))
            unit.commit()
        return chunks

    def finish(self, tenant_id: UUID, import_id: UUID) -> Progress:
        """Join threads, and say that it is done."""
        with self._units(tenant_id) as unit:
            known = existing_import(unit, import_id, lock=True)
            progress: Progress = unit.progress(import_id)
            if known.status is not ImportStatus.PROCESSING:
                return progress
            unit.set_threads(*join_threads(tenant_id, unit.links(import_id)))
            unit.save(replace(known, status=ImportStatus.COMPLETED, finished_at=self._now()))
            unit.emit(
                self._told(
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
        with self._units(tenant_id) as unit:
            known = existing_import(unit, import_id, lock=True)
            if known.status is not ImportStatus.PROCESSING:
                return
            unit.save(replace(known, status=ImportStatus.FAILED, error=reason[:1000], finished_at=self._now()))
            unit.emit(self._told("vectors.import.failed", tenant_id, import_id, reason=reason[:1000]))
            unit.commit()

    def _told(self, kind: str, tenant_id: UUID, import_id: UUID, **data: Any) -> Event:
        return Event(
            id=self._new_id(),
            type=kind,
            area="vectors",
            tenant_id=tenant_id,
            aggregate_id=str(import_id),
            occurred_at=self._now(),
            correlation_id=str(import_id),
            data={"import_id": str(import_id), **data},
        )


class ChunkWork:
    """One chunk: read, store, embed, write its points."""

    def __init__(
        self,
        units: ArchiveUnits,
        uploads: Uploads,
        cleaner: TextCleaner,
        writer: MessageWriter,
        now: Now,
    ) -> None:
        self._units, self._uploads, self._cleaner = units, uploads, cleaner
        self._writer, self._now = writer, now

    def work(self, tenant_id: UUID, import_id: UUID, chunk: ChunkRange) -> Progress:
        """Read one chunk. A broken message is listed as an error and stops none of the others.

        The archive is committed before the points are written: killed in between, the same chunk is done again, finds
        its messages stored, and writes the same points.
        """
        with self._units(tenant_id) as unit:
            known = existing_import(unit, import_id)
        data = b"".join(self._uploads.read(known.object_key, known.object_version, chunk.offset, chunk.length))
        messages: list[Archived] = []
        errors: list[Refused] = []
        for ordinal, raw in enumerate(split(data), chunk.first):
            try:
                messages.append(Archived(ordinal, parse(raw, self._cleaner)))
            except InvalidInput as error:
                errors.append(Refused(ordinal, error.detail))
        with self._units(tenant_id) as unit:
            stored = unit.archive(import_id, messages)
            note_replies(unit, tenant_id, messages, stored, self._now())
            new = sum(each.new for each in stored)
            progress = Progress(1, len(messages) + len(errors), new, len(messages) - new, len(errors))
            unit.chunk_done(import_id, chunk.ordinal, progress, errors)
            unit.commit()
        self._writer.write(tenant_id, import_id, messages, stored)
        return progress


def join_threads(
    tenant_id: UUID, links: Sequence[tuple[str, Sequence[str], UUID | None]]
) -> tuple[dict[str, UUID], dict[UUID, UUID]]:
    """The thread of each message, and the threads that turn out to be part of another.

    A thread that is there keeps its id; of several that are joined, the smallest stays.
    """
    roots = thread_roots((key, references) for key, references, _ in links)
    before: dict[str, set[UUID]] = {}
    for key, _, thread in links:
        if thread is not None:
            before.setdefault(roots[key], set()).add(thread)
    chosen = {
        root: min(before[root]) if root in before else uuid5(tenant_id, f"thread/{root}") for root in roots.values()
    }
    threads = {key: chosen[roots[key]] for key, _, _ in links}
    merged = {
        old: chosen[root] for root, threads_before in before.items() for old in threads_before if old != chosen[root]
    }
    return threads, merged
