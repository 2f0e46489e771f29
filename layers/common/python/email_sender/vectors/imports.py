"""Imports of mailboxes and of vectors: upload, split, read, store. Importing twice changes nothing.

    awaiting_upload ── object created ──> processing ── every chunk done ──> completed
                                              └──────── nothing to take ─────> failed

Every id is made from what it names, so each part may be done twice, by two workers, or again after it was killed.
"""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from uuid import UUID

from email_sender.ambient import NewId, Now
from email_sender.errors import InvalidInput
from email_sender.paging import Page
from email_sender.vectors.import_model import (
    Format,
    Import,
    ImportEngine,
    ImportKind,
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
# What S3 calls the one version of an object in a bucket that keeps none.
_UNVERSIONED = "null"


@dataclass(frozen=True, slots=True)
class VectorFile:
    """Where a file's vectors go and what it is; `payloads_bytes` is of a second file, with their ids and payloads."""

    collection: str
    format: Format
    payloads_bytes: int | None = None


class ImportService:
    """What the API and the upload's event need."""

    def __init__(
        self,
        units: ImportUnits,
        uploads: Uploads,
        engine: Callable[[], ImportEngine],
        collections: Callable[[], Collection[str]],
        now: Now,
        new_id: NewId,
    ) -> None:
        self._units, self._uploads, self._engine, self._collections = units, uploads, engine, collections
        self._now, self._new_id = now, new_id

    def create(
        self, tenant_id: UUID, import_id: UUID, file_name: str, size_bytes: int, created_by: str
    ) -> tuple[Import, str]:
        """Announce an upload: the import, and where to PUT exactly that many bytes within 15 minutes."""
        known = self._announced(import_id, file_name, size_bytes, created_by)
        known = self._added(tenant_id, known)
        return known, self._uploads.upload_url(known.object_key, known.size_bytes, UPLOAD_SECONDS)

    def create_of_vectors(
        self,
        tenant_id: UUID,
        import_id: UUID,
        file_name: str,
        size_bytes: int,
        created_by: str,
        target: VectorFile,
    ) -> tuple[Import, str, str | None]:
        """The same for a file of vectors; the second address takes its ids and payloads, where they are announced.

        Raises:
            InvalidInput: there is no such collection, or the format takes no second file.
        """
        if target.collection not in self._collections():
            raise InvalidInput.at("/collection", f"The collections are {', '.join(self._collections())}.")
        if target.payloads_bytes is not None:
            if target.format is not Format.NPY:
                raise InvalidInput.at("/payloads", "Only an npy array has its payloads in a second file.")
            _checked_size(target.payloads_bytes, "/payloads/size_bytes")
        known = replace(
            self._announced(import_id, file_name, size_bytes, created_by),
            kind=ImportKind.VECTORS,
            collection=target.collection,
            format=target.format,
            payloads_bytes=target.payloads_bytes,
        )
        known = self._added(tenant_id, known)
        second = None
        if known.payloads_bytes is not None:
            second = self._uploads.upload_url(known.payloads_key, known.payloads_bytes, UPLOAD_SECONDS)
        return known, self._uploads.upload_url(known.object_key, known.size_bytes, UPLOAD_SECONDS), second

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
        self._arrived(
            tenant_id,
            import_id,
            lambda each: (
                replace(each, object_version=version or _UNVERSIONED) if each.size_bytes == size_bytes else None
            ),
        )

    def payloads_uploaded(self, tenant_id: UUID, import_id: UUID, version: str | None, size_bytes: int) -> None:
        """The same of the second file. Whichever comes last starts the import."""
        self._arrived(
            tenant_id,
            import_id,
            lambda each: (
                replace(each, payloads_version=version or _UNVERSIONED) if each.payloads_bytes == size_bytes else None
            ),
        )

    def _arrived(self, tenant_id: UUID, import_id: UUID, pin: Callable[[Import], Import | None]) -> None:
        """`pin` gives None for an object that is not what was announced."""
        with self._units(tenant_id) as unit:
            known = existing_import(unit, import_id, lock=True)
            if known.status is ImportStatus.AWAITING_UPLOAD:
                pinned = pin(known)
                if pinned is None:
                    logger.warning("an upload of another size than announced", extra={"import_id": str(import_id)})
                    return
                known = pinned
                if known.object_version and (known.payloads_bytes is None or known.payloads_version):
                    known = replace(known, status=ImportStatus.PROCESSING, started_at=self._now())
                unit.save(known)
                unit.commit()
        if known.status is ImportStatus.PROCESSING and known.execution_arn is None:
            self._engage(tenant_id, known)

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
            self._engage(tenant_id, each)
            started += 1
        return started

    def _announced(self, import_id: UUID, file_name: str, size_bytes: int, created_by: str) -> Import:
        size = _checked_size(size_bytes, "/size_bytes")
        status, key = ImportStatus.AWAITING_UPLOAD, f"imports/{import_id}"
        return Import(import_id, status, file_name, size, key, created_by, self._now())

    def _added(self, tenant_id: UUID, new: Import) -> Import:
        """As it was announced first: a repeat of the request finds its import."""
        with self._units(tenant_id) as unit:
            known = unit.get(new.id)
            if known is None:
                unit.add(new)
                unit.commit()
        return known or new

    def _engage(self, tenant_id: UUID, started: Import) -> None:
        execution = self._engine().start_import(started.kind, started.id, tenant_id)
        with self._units(tenant_id) as unit:
            known = existing_import(unit, started.id, lock=True)
            unit.save(replace(known, execution_arn=execution))
            unit.commit()


def _checked_size(size_bytes: int, pointer: str) -> int:
    if not 0 < size_bytes <= MAX_FILE_BYTES:
        raise InvalidInput.at(pointer, f"A file has 1 to {MAX_FILE_BYTES} bytes.")
    return size_bytes
