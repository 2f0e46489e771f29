"""Imports: announce an upload, follow it."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request

from email_sender.kit.auth import Principal, Requires
from email_sender.kit.http import BASE_PATH
from email_sender.kit.idempotency import IdempotentRoute, operation_id
from email_sender.kit.params import Limit
from email_sender.kit.provided import provided
from email_sender.security.permissions import Permission
from email_sender.vectors.imports import UPLOAD_SECONDS, ImportService
from vectors.bootstrap import import_service
from vectors.schemas import ImportCreated, ImportIn, ImportOut, UploadOut

router = APIRouter(prefix="/vectors/imports", tags=["vectors"], route_class=IdempotentRoute)
Service = Annotated[ImportService, provided(import_service)]
Writer = Annotated[Principal, Depends(Requires(Permission.VECTORS_WRITE))]


@router.post("", status_code=202)
async def create(request: Request, body: ImportIn, caller: Writer, service: Service) -> ImportCreated:
    """Announce a mailbox (mbox); PUT the file to the address in the answer and the import starts by itself."""
    created, url = service.create(
        caller.tenant_id, operation_id(request), body.file_name, body.size_bytes, caller.subject
    )
    return ImportCreated(
        job_id=created.id,
        status_url=f"{BASE_PATH}/vectors/imports/{created.id}",
        upload=UploadOut(url=url, expires_in=UPLOAD_SECONDS),
    )


@router.get("/{import_id}")
async def read(
    import_id: UUID,
    caller: Writer,
    service: Service,
    limit: Limit = 50,
    cursor: Annotated[int, Query(ge=-1, description="`next_cursor` of the errors before")] = -1,
) -> ImportOut:
    """How far it is, and which messages could not be read."""
    found, progress = service.get(caller.tenant_id, import_id)
    errors = service.errors(caller.tenant_id, import_id, cursor, limit)
    return ImportOut.of(found, progress, errors.items, errors.next_cursor)
