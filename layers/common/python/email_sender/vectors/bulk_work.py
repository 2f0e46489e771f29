"""The steps of a bulk import: cut the file, and write one part's points."""

import json
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import Self
from uuid import UUID, uuid5

from email_sender.errors import InvalidInput
from email_sender.vectors.bulk_model import (
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
from email_sender.vectors.import_model import (
    Format,
    Import,
    ImportStatus,
    ImportUnits,
    Progress,
    Refused,
    Uploads,
    existing_import,
)
from email_sender.vectors.import_work import ImportSteps
from email_sender.vectors.model import ClientId, Collection, Point
from email_sender.vectors.ports import VectorIndex

# One call of the engine: below the 4 MB that gRPC takes by default, with room for payloads.
_BATCH_BYTES = 2 * 1024 * 1024
_BATCH_POINTS = 1_000
# An error's place: its part, and its row there.
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
        """Cut the file, and store the list of its parts where the machine reads it. Returns the list's key.

        Twice gives the same list: a pinned version of a file is cut one way.

        Raises:
            InvalidInput: nothing of the file can be taken, and why.
        """
        with self._units(tenant_id) as unit:
            known = existing_import(unit, import_id)
        collection, reader = _target(known, self._collections, self._readers)
        parts = reader.plan(PointFile.of(known, self._uploads), collection)
        if not parts:
            raise InvalidInput("The file is empty.")
        if len(parts) > MAX_PARTS:
            raise InvalidInput(f"The file has {len(parts)} parts, at most {MAX_PARTS} are taken: cut it into several.")
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
        index: VectorIndex,
        collections: Mapping[str, Collection],
        readers: Readers,
        steps: ImportSteps,
    ) -> None:
        self._units, self._uploads, self._index = units, uploads, index
        self._collections, self._readers, self._steps = collections, readers, steps

    def work(self, tenant_id: UUID, import_id: UUID, part: Part) -> Progress:
        """Write a part's points. A bad row is listed and stops none of the others.

        The points are written before the part is marked done: killed in between, the part is read again and gives the
        same points under the same ids. A part that is done, or whose import has ended, is not read again.

        Raises:
            InvalidInput: the part cannot be read; the import has failed with that reason.
        """
        with self._units(tenant_id) as unit:
            known = existing_import(unit, import_id)
            done = unit.chunk(import_id, part.ordinal)
        if done is not None or known.status is not ImportStatus.PROCESSING:
            return done or Progress()
        try:
            progress, errors = self._write(tenant_id, known, part)
        except InvalidInput as error:
            # Here, since a distributed Map tells only that something failed in it.
            self._steps.fail(tenant_id, import_id, error.detail)
            raise
        with self._units(tenant_id) as unit:
            unit.chunk_done(import_id, part.ordinal, progress, errors)
            unit.commit()
        return progress

    def _write(self, tenant_id: UUID, known: Import, part: Part) -> tuple[Progress, list[Refused]]:
        collection, reader = _target(known, self._collections, self._readers)
        a_batch = max(1, min(_BATCH_POINTS, _BATCH_BYTES // (4 * collection.size)))
        listed = max(1, MAX_LISTED_ERRORS // max(1, known.chunks or 1))
        errors: list[Refused] = []
        rows = failed = 0
        with _Writer(self._index, tenant_id, collection.name, a_batch) as writer:
            for row in reader.rows(PointFile.of(known, self._uploads), part, collection):
                rows += 1
                if isinstance(row, BadRow):
                    failed += 1
                    if len(errors) < listed:
                        errors.append(Refused((part.ordinal << _PART_SHIFT) + row.number, row.reason))
                else:
                    writer.add(_point(known.id, row))
        return Progress(1, rows, rows - failed, 0, failed), errors


class _Writer:
    """Writes in batches, one of them on its way while the next is read: the engine and we wait for each other less.

    By id: of a batch's points with one id, the last is written, and batches are written in their order.
    """

    def __init__(self, index: VectorIndex, tenant_id: UUID, collection: str, batch: int) -> None:
        self._index, self._tenant_id, self._collection, self._size = index, tenant_id, collection, batch
        self._batch: dict[ClientId, Point] = {}
        self._thread = ThreadPoolExecutor(1)
        self._on_its_way: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._send()
                self._arrived()
        finally:
            self._thread.shutdown()

    def add(self, point: Point) -> None:
        self._batch[point.id] = point
        if len(self._batch) == self._size:
            self._send()

    def _send(self) -> None:
        self._arrived()
        if self._batch:
            points, self._batch = list(self._batch.values()), {}
            self._on_its_way = self._thread.submit(self._index.upsert, self._tenant_id, self._collection, points)

    def _arrived(self) -> None:
        sent, self._on_its_way = self._on_its_way, None
        if sent is not None:
            sent.result()


def _target(known: Import, collections: Mapping[str, Collection], readers: Readers) -> tuple[Collection, PointReader]:
    collection = collections.get(known.collection or "")
    if collection is None or known.format is None:
        raise InvalidInput(f"There is no collection {known.collection} any more.")
    return collection, readers[known.format]


def _point(import_id: UUID, row: Row) -> Point:
    """A row without an id gets one made of the import and its place, so that a repeat is the same write."""
    return Point(row.id if row.id is not None else uuid5(import_id, str(row.place)), row.vector, row.payload)
