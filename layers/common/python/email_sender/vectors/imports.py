"""Mailbox imports: upload, split, read, embed, store. Importing twice changes nothing.

    awaiting_upload ── object created ──> processing ── every chunk done ──> completed
                                              └──────── not an mbox … ─────> failed

Every id is made from what it names, so each part may be done twice, by two workers, or again after it was killed.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

from email_sender.ambient import NewId, Now
from email_sender.errors import InvalidInput
from email_sender.paging import Page
from email_sender.vectors.import_model import (
    Import,
    ImportEngine,
    ImportStatus,
    ImportUnits,
    Progress,
    Refused,
    Uploads,
    existing_import,
)

logger = logging.getLogger(__name__)

UPLOAD_SECONDS = 900
MAX_FILE_BYTES = 5 * 1024**3


class ImportService:
    """What the API and the upload's event need."""

    def __init__(
        self, units: ImportUnits, uploads: Uploads, engine: Callable[[], ImportEngine], now: Now, new_id: NewId
    ) -> None:
        self._units, self._uploads, self._engine = units, uploads, engine
        self._now, self._new_id = now, new_id

    def create(
        self, tenant_id: UUID, import_id: UUID, file_name: str, size_bytes: int, created_by: str
    ) -> tuple[Import, str]:
        """Announce an upload: the import, and where to PUT exactly that many bytes within 15 minutes."""
        if not 0 < size_bytes <= MAX_FILE_BYTES:
            raise InvalidInput.at("/size_bytes", f"A file has 1 to {MAX_FILE_BYTES} bytes.")
        key = f"imports/{import_id}"
        with self._units(tenant_id) as unit:
            known = unit.get(import_id)
            if known is None:
                known = Import(
                    import_id, ImportStatus.AWAITING_UPLOAD, file_name, size_bytes, key, created_by, self._now()
                )
                unit.add(known)
                unit.commit()
        return known, self._uploads.upload_url(key, size_bytes, UPLOAD_SECONDS)

    def get(self, tenant_id: UUID, import_id: UUID) -> tuple[Import, Progress]:
        with self._units(tenant_id) as unit:
            return existing_import(unit, import_id), unit.progress(import_id)

    def errors(self, tenant_id: UUID, import_id: UUID, after: int, limit: int) -> Page[Refused]:
        with self._units(tenant_id) as unit:
            existing_import(unit, import_id)
            rows = unit.errors(import_id, after, limit + 1)
        return Page(rows[:limit], str(rows[limit - 1].ordinal) if len(rows) > limit else None)

    def uploaded(self, tenant_id: UUID, import_id: UUID, version: str | None, size_bytes: int) -> None:
        """The object is there: pin its version and start. A repeat changes nothing.

        An object of another size than announced is not the file that was meant; S3 refuses it by the signature.

        The row is committed before the machine is started; killed in between, the sweep starts it.
        """
        with self._units(tenant_id) as unit:
            known = existing_import(unit, import_id, lock=True)
            if known.status is ImportStatus.AWAITING_UPLOAD and size_bytes != known.size_bytes:
                logger.warning("an upload of another size than announced", extra={"import_id": str(import_id)})
                return
            if known.status is ImportStatus.AWAITING_UPLOAD:
                known = replace(
                    known,
                    status=ImportStatus.PROCESSING,
                    object_version=version,
                    started_at=self._now(),
                )
                unit.save(known)
                unit.commit()
        if known.status is ImportStatus.PROCESSING and known.execution_arn is None:
            self._engage(tenant_id, import_id)

    def sweep(self, tenant_id: UUID) -> int:
        """Start again what the engine lost. Returns how many."""
        with self._units(tenant_id) as unit:
            unfinished = unit.unfinished()
        started = 0
        for each in unfinished:
            if each.status is not ImportStatus.PROCESSING:
                continue
            if each.execution_arn is not None and self._engine().is_running(each.execution_arn):
                continue
            self._engage(tenant_id, each.id)
            started += 1
        return started

    def _engage(self, tenant_id: UUID, import_id: UUID) -> None:
        execution = self._engine().start_import(import_id, tenant_id)
        with self._units(tenant_id) as unit:
            known = existing_import(unit, import_id, lock=True)
            unit.save(replace(known, execution_arn=execution))
            unit.commit()
