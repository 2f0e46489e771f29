"""Routes of imports: create one, upload its file, and follow its progress."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request

from email_sender.kit.api_paths import BASE_PATH
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.dependencies import depends_on
from email_sender.kit.idempotency import IdempotentRoute, operation_id
from email_sender.kit.query_parameters import Cursor, Limit, parse_id_cursor
from email_sender.kit.schemas import Listing
from email_sender.security.permissions import Permission
from email_sender.vectors.imports.service import UPLOAD_SECONDS, ImportService
from vectors_lambda.bootstrap.core import import_service
from vectors_lambda.http.schemas.points import ImportCreated, ImportIn, ImportOut, UploadOut, VectorsImportIn

router = APIRouter(prefix="/vectors/imports", tags=["imports"], route_class=IdempotentRoute)
Service = Annotated[ImportService, depends_on(import_service)]
Writer = Annotated[Principal, Depends(Requires(Permission.VECTORS_WRITE))]


@router.post("", status_code=202)
async def create_import(request: Request, body: ImportIn, caller: Writer, service: Service) -> ImportCreated:
    """Create an import.

    Announces a mailbox (mbox) or a file of vectors. PUT the file to the returned URL to start the import. With
    `payloads` there are two URLs, and the import starts when both files have been uploaded.
    """
    announcement = (caller.tenant_id, operation_id(request), body.file_name, body.size_bytes, caller.subject)
    if isinstance(body, VectorsImportIn):
        created = service.create_vector_import(*announcement, body.target())
    else:
        created = service.create(*announcement)
    return ImportCreated(
        job_id=created.record.id,
        status_url=f"{BASE_PATH}/vectors/imports/{created.record.id}",
        upload=UploadOut(url=created.upload_url, expires_in=UPLOAD_SECONDS),
        payloads_upload=(
            UploadOut(url=created.payloads_url, expires_in=UPLOAD_SECONDS) if created.payloads_url else None
        ),
    )


@router.get("")
async def list_imports(
    caller: Writer, service: Service, limit: Limit = 50, cursor: Cursor = None
) -> Listing[ImportOut]:
    """List imports. The newest come first. Rejected messages and rows are listed by each import's own path."""
    found = service.page(caller.tenant_id, parse_id_cursor(cursor), limit)
    return Listing(
        items=[ImportOut.of(record, progress, (), None) for record, progress in found.items],
        next_cursor=found.next_cursor,
    )


@router.get("/{import_id}")
async def get_import(
    import_id: UUID,
    caller: Writer,
    service: Service,
    limit: Limit = 50,
    cursor: Annotated[int, Query(ge=-1, description="`next_cursor` of the previous page of errors")] = -1,
) -> ImportOut:
    """Get an import.

    Returns the progress, and the messages or rows that could not be imported.
    """
    import_record, progress = service.get(caller.tenant_id, import_id)
    errors = service.errors(caller.tenant_id, import_id, cursor, limit)
    return ImportOut.of(import_record, progress, errors.items, errors.next_cursor)
