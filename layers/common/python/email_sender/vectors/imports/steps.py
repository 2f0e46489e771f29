"""The steps of a bulk import of vectors: split the file into parts, and write the points of a part."""

import json
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import Self
from uuid import UUID, uuid5

from email_sender.archive.mailbox_import import ImportSteps
from email_sender.errors import InvalidInput
from email_sender.security.quotas import QuotaExceeded
from email_sender.vectors.imports.model import (
    Format,
    Import,
    ImportStatus,
    ImportUnits,
    Progress,
    RejectedRecord,
    Uploads,
    existing_import,
)
from email_sender.vectors.imports.point_files import (
    MAX_LISTED_ERRORS,
    MAX_PARTS,
    BadRow,
    BulkUnits,
    Part,
    PlanStore,
    PointFile,
    PointReader,
    Row,
)
from email_sender.vectors.model import ClientId, Collection, Point
from email_sender.vectors.ports import PointWriter

# The size of one engine call: below gRPC's default limit of 4 MB, with space for payloads.
_BATCH_BYTES = 2 * 1024 * 1024
_BATCH_POINTS = 1_000
# An error's ordinal is (part ordinal << 32) + row number within the part.
_PART_SHIFT = 32

type Readers = Mapping[Format, PointReader]


class BulkPlan:
    def __init__(
        self,
        units: ImportUnits,
        uploads: Uploads,
        plans: PlanStore,
        collections: Mapping[str, Collection],
        readers: Readers,
    ) -> None:
        self._units, self._uploads, self._plans = units, uploads, plans
        self._collections, self._readers = collections, readers

    def plan(self, tenant_id: UUID, import_id: UUID) -> str:
        """Split the file, store the list of its parts for the state machine, and return the list's key.

        Repeatable: the same version of a file is always split in the same way.

        Raises:
            InvalidInput: the file cannot be imported. The message says why.
        """
        with self._units(tenant_id) as unit:
            import_record = existing_import(unit, import_id)
        collection, reader = _target(import_record, self._collections, self._readers)
        parts = reader.plan(PointFile.for_import(import_record, self._uploads), collection)
        if not parts:
            raise InvalidInput("The file is empty.")
        if len(parts) > MAX_PARTS:
            raise InvalidInput(
                f"The file has {len(parts)} parts, but an import has at most {MAX_PARTS} parts. Split the file."
            )
        key = f"plans/{import_id}.json"
        self._plans.write(key, json.dumps([asdict(part) for part in parts]).encode())
        with self._units(tenant_id) as unit:
            unit.save(replace(existing_import(unit, import_id, lock=True), chunks=len(parts)))
            unit.commit()
        return key


class BulkWork:
    def __init__(
        self,
        units: BulkUnits,
        uploads: Uploads,
        writer: PointWriter,
        collections: Mapping[str, Collection],
        readers: Readers,
        steps: ImportSteps,
    ) -> None:
        self._units, self._uploads, self._writer = units, uploads, writer
        self._collections, self._readers, self._steps = collections, readers, steps

    def work(self, tenant_id: UUID, import_id: UUID, part: Part) -> Progress:
        """Write the points of a part. Bad rows are listed as errors; the other rows are still written.

        The points are written before the part is marked as done. If this is killed in between, the part is read again
        and produces the same points with the same ids. A finished part, or a part of an ended import, is skipped.

        Raises:
            InvalidInput: the part cannot be read, or the tenant may store no more vectors. The import has been marked
                as failed with the same reason.
        """
        with self._units(tenant_id) as unit:
            import_record = existing_import(unit, import_id)
            earlier_progress = unit.chunk(import_id, part.ordinal)
        if earlier_progress is not None or import_record.status is not ImportStatus.PROCESSING:
            return earlier_progress or Progress()
        try:
            progress, errors = self._write(tenant_id, import_record, part)
        except (InvalidInput, QuotaExceeded) as error:
            # Record the reason here: a distributed Map reports only that an item failed.
            self._steps.fail(tenant_id, import_id, error.detail)
            raise InvalidInput(error.detail) from error
        with self._units(tenant_id) as unit:
            unit.record_chunk(import_id, part.ordinal, progress, errors)
            unit.commit()
        return progress

    def _write(self, tenant_id: UUID, import_record: Import, part: Part) -> tuple[Progress, list[RejectedRecord]]:
        collection, reader = _target(import_record, self._collections, self._readers)
        batch_size = max(1, min(_BATCH_POINTS, _BATCH_BYTES // (4 * collection.size)))
        max_listed = max(1, MAX_LISTED_ERRORS // max(1, import_record.chunks or 1))
        errors: list[RejectedRecord] = []
        rows = failed = 0
        with _BatchWriter(self._writer, tenant_id, collection.name, batch_size) as writer:
            for row in reader.rows(PointFile.for_import(import_record, self._uploads), part, collection):
                rows += 1
                if isinstance(row, BadRow):
                    failed += 1
                    if len(errors) < max_listed:
                        errors.append(RejectedRecord((part.ordinal << _PART_SHIFT) + row.number, row.reason))
                else:
                    writer.add(_build_point(import_record.id, row))
        return Progress(1, rows, rows - failed, 0, failed), errors


class _BatchWriter:
    """Writes points in batches. One batch is sent while the next is read, so that reading and writing overlap.

    If several points of a batch have the same id, the last one is written. Batches are written in order.
    """

    def __init__(self, writer: PointWriter, tenant_id: UUID, collection: str, batch_size: int) -> None:
        self._writer, self._tenant_id, self._collection, self._size = writer, tenant_id, collection, batch_size
        self._batch: dict[ClientId, Point] = {}
        self._thread = ThreadPoolExecutor(1)
        self._pending_write: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._send()
                self._wait_for_pending()
        finally:
            self._thread.shutdown()

    def add(self, point: Point) -> None:
        self._batch[point.id] = point
        if len(self._batch) == self._size:
            self._send()

    def _send(self) -> None:
        self._wait_for_pending()
        if self._batch:
            points, self._batch = list(self._batch.values()), {}
            self._pending_write = self._thread.submit(self._writer.upsert, self._tenant_id, self._collection, points)

    def _wait_for_pending(self) -> None:
        pending, self._pending_write = self._pending_write, None
        if pending is not None:
            pending.result()


def _target(
    import_record: Import, collections: Mapping[str, Collection], readers: Readers
) -> tuple[Collection, PointReader]:
    collection = collections.get(import_record.collection or "")
    if collection is None or import_record.format is None:
        raise InvalidInput(f"The collection {import_record.collection} no longer exists.")
    return collection, readers[import_record.format]


def _build_point(import_id: UUID, row: Row) -> Point:
    """Return the row as a point. A missing id is derived from the import and the row's position, so repeats match."""
    return Point(row.id if row.id is not None else uuid5(import_id, str(row.position)), row.vector, row.payload)
