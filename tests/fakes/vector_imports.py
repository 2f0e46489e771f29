"""In-memory stores and services for bulk imports."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID, uuid4

from email_sender.adapters.files import readers
from email_sender.archive.mailbox_import import ImportSteps
from email_sender.coordination.events import Event
from email_sender.errors import NotFound
from email_sender.kit.system_clock import new_id
from email_sender.security.quotas import QuotaKind
from email_sender.vectors.imports.model import (
    Format,
    Import,
    ImportKind,
    ImportStatus,
    ImportUnits,
    MessageLinks,
    Progress,
    RejectedRecord,
    ThreadAssignment,
)
from email_sender.vectors.imports.point_files import BulkUnits, Part, PointFile, RangedFile
from email_sender.vectors.imports.steps import BulkPlan, BulkWork
from email_sender.vectors.model import ClientId, Collection, Distance, Point
from email_sender.vectors.ports import PointWriter

NOW = datetime(2026, 11, 21, tzinfo=UTC)
SMALL = Collection("small", 4, Distance.COSINE, quantized=False)


class MemoryUploads:
    """A bucket in memory. `read_bytes` counts the bytes that were read."""

    def __init__(self, **files: bytes) -> None:
        self.files: dict[str, bytes] = dict(files)
        self.read_bytes = 0

    def upload_url(self, key: str, size_bytes: int, seconds: int) -> str:
        return f"https://bucket.example/{key}?size={size_bytes}&seconds={seconds}"

    def write(self, key: str, content: bytes) -> None:
        self.files[key] = content

    def read(self, key: str, version: str | None, offset: int = 0, length: int | None = None) -> Iterable[bytes]:
        if key not in self.files:
            raise NotFound("The uploaded file is gone.")
        end = len(self.files[key]) if length is None else offset + length
        content = self.files[key][offset:end]
        self.read_bytes += len(content)
        # In pieces, as over a network.
        return [content[at : at + 1000] for at in range(0, len(content), 1000)]


class MemoryIndex:
    """Points by id. The call number `fails_at` raises an error, as if the worker were killed."""

    def __init__(self) -> None:
        self.points: dict[ClientId, Point] = {}
        self.calls = 0
        self.fails_at = -1
        self.refusal: Exception | None = None

    def upsert(self, tenant_id: UUID, collection: str, points: Sequence[Point]) -> None:
        self.calls += 1
        if self.refusal is not None:
            raise self.refusal
        if self.calls == self.fails_at:
            raise RuntimeError("killed")
        self.points |= {point.id: point for point in points}


@dataclass
class MemoryImports:
    """Imports with their chunks and rejected rows; uncommitted changes are discarded."""

    imports: dict[UUID, Import] = field(default_factory=dict)
    chunks: dict[tuple[UUID, int], Progress] = field(default_factory=dict)
    rejected_rows: dict[int, RejectedRecord] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    spent: dict[QuotaKind, int] = field(default_factory=dict)
    dies_at_commit: bool = False

    @contextmanager
    def __call__(self, tenant_id: UUID) -> Iterator["_Unit"]:
        yield _Unit(tenant_id, self)


class _Unit:
    def __init__(self, tenant_id: UUID, store: MemoryImports) -> None:
        self.tenant_id, self._store = tenant_id, store
        self._work = replace(
            store,
            imports=dict(store.imports),
            chunks=dict(store.chunks),
            rejected_rows=dict(store.rejected_rows),
            events=list(store.events),
        )

    def add(self, new: Import) -> None:
        self._work.imports[new.id] = new

    save = add

    def get(self, import_id: UUID, *, lock: bool = False) -> Import | None:
        return self._work.imports.get(import_id)

    def unfinished(self) -> Sequence[Import]:
        return [entry for entry in self._work.imports.values() if entry.finished_at is None]

    def chunk(self, import_id: UUID, ordinal: int) -> Progress | None:
        return self._work.chunks.get((import_id, ordinal))

    def record_chunk(self, import_id: UUID, chunk: int, progress: Progress, errors: Sequence[RejectedRecord]) -> None:
        self._work.chunks.setdefault((import_id, chunk), progress)
        for row in errors:
            self._work.rejected_rows.setdefault(row.ordinal, row)

    def progress(self, import_id: UUID) -> Progress:
        chunks = [progress for (owner_id, _), progress in self._work.chunks.items() if owner_id == import_id]
        return Progress(
            len(chunks),
            sum(progress.messages for progress in chunks),
            sum(progress.stored for progress in chunks),
            sum(progress.duplicates for progress in chunks),
            sum(progress.failed for progress in chunks),
        )

    def errors(self, import_id: UUID, after: int, limit: int) -> Sequence[RejectedRecord]:
        return [self._work.rejected_rows[key] for key in sorted(self._work.rejected_rows) if key > after][:limit]

    def links(self, import_id: UUID) -> Sequence[MessageLinks]:
        return []

    def set_threads(self, assignment: ThreadAssignment) -> None:
        assert not assignment.threads
        assert not assignment.merged

    def spend(self, kind: QuotaKind, amount: int = 1) -> None:
        self._store.spent[kind] = self._store.spent.get(kind, 0) + amount

    def emit(self, event: Event) -> None:
        self._work.events.append(event)

    def commit(self) -> None:
        if self._store.dies_at_commit:
            raise RuntimeError("killed")
        for name in ("imports", "chunks", "rejected_rows", "events"):
            setattr(self._store, name, getattr(self._work, name))


class BulkImportScenario:
    """One running import of vectors with the services that work on it."""

    def __init__(
        self, content: bytes, kind: Format, payloads: bytes | None = None, collection: Collection = SMALL
    ) -> None:
        self.tenant, self.id = uuid4(), uuid4()
        key = f"imports/{self.id}"
        self.uploads = MemoryUploads(**{key: content})
        if payloads is not None:
            self.uploads.files[f"{key}/payloads"] = payloads
        self.index, self.store = MemoryIndex(), MemoryImports()
        self.store.imports[self.id] = Import(
            self.id,
            ImportStatus.PROCESSING,
            "file",
            len(content),
            key,
            "me",
            NOW,
            object_version="v1",
            kind=ImportKind.VECTORS,
            collection=collection.name,
            format=kind,
            payloads_bytes=None if payloads is None else len(payloads),
            payloads_version=None if payloads is None else "v1",
        )
        collections, units = {collection.name: collection}, cast("ImportUnits", self.store)
        self.steps = ImportSteps(units, self.uploads, None, lambda: NOW, new_id)
        self._plan = BulkPlan(units, self.uploads, self.uploads, collections, readers())
        self._work = BulkWork(
            cast("BulkUnits", units),
            self.uploads,
            cast("PointWriter", self.index),
            collections,
            readers(),
            self.steps,
        )

    def plan(self) -> list[Part]:
        parts: list[dict[str, Any]] = json.loads(self.uploads.files[self._plan.plan(self.tenant, self.id)])
        return [Part(**part) for part in parts]

    def work(self, part: Part) -> Progress:
        return self._work.work(self.tenant, self.id, part)

    def run(self) -> Progress:
        for part in self.plan():
            self.work(part)
        return self.steps.finish(self.tenant, self.id)

    @property
    def row(self) -> Import:
        return self.store.imports[self.id]

    @property
    def reasons(self) -> list[tuple[int, str]]:
        return [(key & 0xFFFFFFFF, row.reason) for key, row in sorted(self.store.rejected_rows.items())]


def point_file(content: bytes, payloads: bytes | None = None) -> PointFile:
    uploads = MemoryUploads(file=content, payloads=payloads or b"")
    second = RangedFile(uploads, "payloads", None, len(payloads)) if payloads is not None else None
    return PointFile(RangedFile(uploads, "file", None, len(content)), second)
