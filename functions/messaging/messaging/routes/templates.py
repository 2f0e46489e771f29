"""Templates: store, preview, and the drafts made of them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from email_sender.kit.auth import Principal, Requires
from email_sender.kit.idempotency import IdempotentRoute, operation_id
from email_sender.kit.params import Cursor, IfMatch, Limit, id_cursor, version_of
from email_sender.kit.provided import provided
from email_sender.messaging.templates import TemplateService
from email_sender.security.permissions import Permission
from messaging.bootstrap import template_service
from messaging.schemas import DraftOut, Listing, PreviewIn, PreviewOut, TemplateIn, TemplateOut

router = APIRouter(tags=["templates"], route_class=IdempotentRoute)
Service = Annotated[TemplateService, provided(template_service)]
Reader = Annotated[Principal, Depends(Requires(Permission.MESSAGING_READ))]
Writer = Annotated[Principal, Depends(Requires(Permission.MESSAGING_WRITE))]


@router.get("/templates")
async def page(caller: Reader, service: Service, limit: Limit = 50, cursor: Cursor = None) -> Listing[TemplateOut]:
    """Templates, in the order they were made."""
    found = service.page(caller.tenant_id, id_cursor(cursor), limit)
    return Listing(items=[TemplateOut.of(each) for each in found.items], next_cursor=found.next_cursor)


@router.post("/templates", status_code=201)
async def create(
    request: Request, response: Response, body: TemplateIn, caller: Writer, service: Service
) -> TemplateOut:
    """Store a template; what it reads and does not declare is named."""
    created = service.create(caller.tenant_id, body.template(operation_id(request)), caller.subject)
    response.headers["etag"] = f'"{created.version}"'
    return TemplateOut.of(created)


@router.get("/templates/{template_id}")
async def read(template_id: UUID, response: Response, caller: Reader, service: Service) -> TemplateOut:
    """A template at its newest version."""
    found = service.get(caller.tenant_id, template_id)
    response.headers["etag"] = f'"{found.version}"'
    return TemplateOut.of(found)


@router.put("/templates/{template_id}")
async def change(
    template_id: UUID,
    response: Response,
    body: TemplateIn,
    caller: Writer,
    service: Service,
    if_match: IfMatch = None,
) -> TemplateOut:
    """Store a new version; drafts made of earlier ones stay as they are."""
    changed = service.update(caller.tenant_id, body.template(template_id), version_of(if_match), caller.subject)
    response.headers["etag"] = f'"{changed.version}"'
    return TemplateOut.of(changed)


@router.delete("/templates/{template_id}", status_code=204)
async def delete(template_id: UUID, caller: Writer, service: Service) -> Response:
    """Delete a template; drafts made of it stay."""
    service.delete(caller.tenant_id, template_id)
    return Response(status_code=204)


@router.post("/templates/{template_id}/preview")
async def preview(template_id: UUID, body: PreviewIn, caller: Reader, service: Service) -> PreviewOut:
    """How it reads for a contact, and which variables are missing or unused. Nothing is stored."""
    return PreviewOut.of(service.preview(caller.tenant_id, template_id, body.variables, body.contact_id))


@router.get("/drafts/{draft_id}")
async def draft(draft_id: UUID, caller: Reader, service: Service) -> DraftOut:
    """A draft as it would be sent: what an approval shows."""
    return DraftOut.of(service.read_draft(caller.tenant_id, draft_id))
