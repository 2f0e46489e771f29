"""Imports of mailboxes and of vectors: upload, split, read, store. Importing a file twice changes nothing.

    awaiting_upload ── object created ──> processing ── every chunk done ──> completed
                                              └──── file not importable ────> failed

Every id is derived from the thing it identifies, so each part may run twice, in two workers, or again after a crash.
"""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from uuid import UUID

from email_sender.clock import Clock, IdFactory
from email_sender.errors import InvalidInput
from email_sender.paging import Page
from email_sender.security.quotas import QuotaKind
from email_sender.vectors.imports.model import (
    Format,
    Import,
    ImportEngine,
    ImportKind,
    ImportStatus,
    ImportUnits,
    Progress,
    RejectedRecord,
    Uploads,
    existing_import,
)

logger = logging.getLogger(__name__)

UPLOAD_SECONDS = 900
MAX_FILE_BYTES = 5 * 1024**3
# The version id of an object in a bucket without versioning (S3).
_UNVERSIONED = "null"


@dataclass(frozen=True, slots=True)
class VectorFile:
    """The target collection and the format of a file of vectors.

    `payloads_bytes` is the size of a second file with ids and payloads.
    """

    collection: str
    format: Format
    payloads_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class CreatedImport:
    """A new import with the URLs for its uploads."""

    record: Import
    upload_url: str
    payloads_url: str | None = None


class ImportService:
    """Creates imports, and starts them when their files have been uploaded."""

    def __init__(
        self,
        units: ImportUnits,
        uploads: Uploads,
        engine: Callable[[], ImportEngine],
        collections: Callable[[], Collection[str]],
        now: Clock,
        new_id: IdFactory,
    ) -> None:
        self._units, self._uploads, self._engine, self._collections = units, uploads, engine, collections
        self._now, self._new_id = now, new_id

    def create(
        self, tenant_id: UUID, import_id: UUID, file_name: str, size_bytes: int, created_by: str
    ) -> CreatedImport:
        """Create an import. Its URL accepts exactly that many bytes (PUT) within 15 minutes."""
        record = self._new_import(import_id, file_name, size_bytes, created_by)
        record = self._add_once(tenant_id, record)
        return CreatedImport(record, self._uploads.upload_url(record.object_key, record.size_bytes, UPLOAD_SECONDS))

    def create_vector_import(
        self,
        tenant_id: UUID,
        import_id: UUID,
        file_name: str,
        size_bytes: int,
        created_by: str,
        target: VectorFile,
    ) -> CreatedImport:
        """Create an import of vectors, with the upload URLs of the file and of the optional second file.

        Raises:
            InvalidInput: the collection does not exist, or the format has no second file.
        """
        if target.collection not in self._collections():
            raise InvalidInput.at("/collection", f"The collections are {', '.join(self._collections())}.")
        if target.payloads_bytes is not None:
            if target.format is not Format.NPY:
                raise InvalidInput.at("/payloads", "Only the format npy has its payloads in a second file.")
            _check_size(target.payloads_bytes, "/payloads/size_bytes")
        record = replace(
            self._new_import(import_id, file_name, size_bytes, created_by),
            kind=ImportKind.VECTORS,
            collection=target.collection,
            format=target.format,
            payloads_bytes=target.payloads_bytes,
        )
        record = self._add_once(tenant_id, record)
        payloads_url = None
        if record.payloads_bytes is not None:
            payloads_url = self._uploads.upload_url(record.payloads_key, record.payloads_bytes, UPLOAD_SECONDS)
        url = self._uploads.upload_url(record.object_key, record.size_bytes, UPLOAD_SECONDS)
        return CreatedImport(record, url, payloads_url)

    def get(self, tenant_id: UUID, import_id: UUID) -> tuple[Import, Progress]:
        with self._units(tenant_id) as unit:
            return existing_import(unit, import_id), unit.progress(import_id)

    def page(self, tenant_id: UUID, before: UUID | None, limit: int) -> Page[tuple[Import, Progress]]:
        """Return the newest imports with their progress."""
        with self._units(tenant_id) as unit:
            rows = unit.page(before, limit + 1)
            items = [(record, unit.progress(record.id)) for record in rows[:limit]]
        return Page(items, str(rows[limit - 1].id) if len(rows) > limit else None)

    def errors(self, tenant_id: UUID, import_id: UUID, after: int, limit: int) -> Page[RejectedRecord]:
        with self._units(tenant_id) as unit:
            existing_import(unit, import_id)
            rows = unit.errors(import_id, after, limit + 1)
        return Page(rows[:limit], str(rows[limit - 1].ordinal) if len(rows) > limit else None)

    def record_upload(self, tenant_id: UUID, import_id: UUID, version: str | None, size_bytes: int) -> None:
        """Record the uploaded version of the file and start the import. Repeating it changes nothing.

        A file of another size than announced is ignored. S3 already rejects it, since the size is signed.

        The row is committed before the state machine starts. If the process dies in between, the sweep starts it.
        """
        self._pin_upload(
            tenant_id,
            import_id,
            lambda record: (
                replace(record, object_version=version or _UNVERSIONED) if record.size_bytes == size_bytes else None
            ),
        )

    def record_payloads_upload(self, tenant_id: UUID, import_id: UUID, version: str | None, size_bytes: int) -> None:
        """Do the same for the second file. The file that is uploaded last starts the import."""
        self._pin_upload(
            tenant_id,
            import_id,
            lambda record: (
                replace(record, payloads_version=version or _UNVERSIONED)
                if record.payloads_bytes == size_bytes
                else None
            ),
        )

    def _pin_upload(self, tenant_id: UUID, import_id: UUID, pin: Callable[[Import], Import | None]) -> None:
        """`pin` returns the changed import, or None if the object does not have the announced size."""
        with self._units(tenant_id) as unit:
            record = existing_import(unit, import_id, lock=True)
            if record.status is ImportStatus.AWAITING_UPLOAD:
                pinned_record = pin(record)
                if pinned_record is None:
                    logger.warning("upload of an unexpected size ignored", extra={"import_id": str(import_id)})
                    return
                record = pinned_record
                if record.object_version and (record.payloads_bytes is None or record.payloads_version):
                    record = replace(record, status=ImportStatus.PROCESSING, started_at=self._now())
                unit.save(record)
                unit.commit()
        if record.status is ImportStatus.PROCESSING and record.execution_arn is None:
            self._start_execution(tenant_id, record)

    def sweep(self, tenant_id: UUID) -> int:
        """Restart imports that have no running execution. Returns how many."""
        with self._units(tenant_id) as unit:
            unfinished = unit.unfinished()
        started_count = 0
        for record in unfinished:
            if record.status is not ImportStatus.PROCESSING:
                continue
            if record.execution_arn is not None and self._engine().is_running(record.execution_arn):
                continue
            self._start_execution(tenant_id, record)
            started_count += 1
        return started_count

    def _new_import(self, import_id: UUID, file_name: str, size_bytes: int, created_by: str) -> Import:
        size = _check_size(size_bytes, "/size_bytes")
        status, key = ImportStatus.AWAITING_UPLOAD, f"imports/{import_id}"
        return Import(import_id, status, file_name, size, key, created_by, self._now())

    def _add_once(self, tenant_id: UUID, new_import: Import) -> Import:
        """Store the import, or return the import that an earlier identical request stored."""
        with self._units(tenant_id) as unit:
            existing_record = unit.get(new_import.id)
            if existing_record is None:
                unit.add(new_import)
                unit.spend(QuotaKind.IMPORT_BYTES, new_import.size_bytes + (new_import.payloads_bytes or 0))
                unit.commit()
        return existing_record or new_import

    def _start_execution(self, tenant_id: UUID, record: Import) -> None:
        execution = self._engine().start_import(record.kind, record.id, tenant_id)
        with self._units(tenant_id) as unit:
            stored_record = existing_import(unit, record.id, lock=True)
            unit.save(replace(stored_record, execution_arn=execution))
            unit.commit()


def _check_size(size_bytes: int, pointer: str) -> int:
    if not 0 < size_bytes <= MAX_FILE_BYTES:
        raise InvalidInput.at(pointer, f"The size of a file must be 1 to {MAX_FILE_BYTES} bytes.")
    return size_bytes
