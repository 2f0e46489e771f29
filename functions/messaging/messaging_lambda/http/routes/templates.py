"""Routes of templates and drafts."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from email_sender.kit.auth import Principal, Requires
from email_sender.kit.dependencies import depends_on
from email_sender.kit.idempotency import IdempotentRoute, operation_id
from email_sender.kit.query_parameters import Cursor, IfMatch, Limit, parse_id_cursor, parse_if_match
from email_sender.kit.schemas import Listing
from email_sender.messaging.drafts import DraftService
from email_sender.messaging.model import Content
from email_sender.messaging.templates import TemplateService
from email_sender.security.permissions import Permission
from messaging_lambda.bootstrap import draft_service, template_service
from messaging_lambda.http.schemas import DraftEdit, DraftOut, PreviewIn, PreviewOut, TemplateIn, TemplateOut

router = APIRouter(tags=["templates"], route_class=IdempotentRoute)
Service = Annotated[TemplateService, depends_on(template_service)]
Drafts = Annotated[DraftService, depends_on(draft_service)]
Reader = Annotated[Principal, Depends(Requires(Permission.MESSAGING_READ))]
Approver = Annotated[Principal, Depends(Requires(Permission.WORKFLOWS_APPROVE))]
Writer = Annotated[Principal, Depends(Requires(Permission.MESSAGING_WRITE))]


@router.get("/templates")
async def list_templates(
    caller: Reader, service: Service, limit: Limit = 50, cursor: Cursor = None
) -> Listing[TemplateOut]:
    """List templates. They are in the order of creation."""
    template_page = service.page(caller.tenant_id, parse_id_cursor(cursor), limit)
    return Listing(
        items=[TemplateOut.of(template) for template in template_page.items], next_cursor=template_page.next_cursor
    )


@router.post("/templates", status_code=201)
async def create_template(
    request: Request, response: Response, body: TemplateIn, caller: Writer, service: Service
) -> TemplateOut:
    """Create a template. The error for an undeclared variable names the variable."""
    template = service.create(caller.tenant_id, body.template(operation_id(request)), caller.subject)
    response.headers["etag"] = f'"{template.version}"'
    return TemplateOut.of(template)


@router.get("/templates/{template_id}")
async def get_template(template_id: UUID, response: Response, caller: Reader, service: Service) -> TemplateOut:
    """Get a template. Returns the newest version."""
    template = service.get(caller.tenant_id, template_id)
    response.headers["etag"] = f'"{template.version}"'
    return TemplateOut.of(template)


@router.put("/templates/{template_id}")
async def update_template(
    template_id: UUID,
    response: Response,
    body: TemplateIn,
    caller: Writer,
    service: Service,
    if_match: IfMatch = None,
) -> TemplateOut:
    """Update a template. Stores a new version; existing drafts stay unchanged."""
    template = service.update(caller.tenant_id, body.template(template_id), parse_if_match(if_match), caller.subject)
    response.headers["etag"] = f'"{template.version}"'
    return TemplateOut.of(template)


@router.delete("/templates/{template_id}", status_code=204)
async def delete_template(template_id: UUID, caller: Writer, service: Service) -> Response:
    """Delete a template. Its drafts stay."""
    service.delete(caller.tenant_id, template_id)
    return Response(status_code=204)


@router.post("/templates/{template_id}/preview")
async def preview_template(template_id: UUID, body: PreviewIn, caller: Reader, service: Service) -> PreviewOut:
    """Preview a template. Renders it and lists missing and unused variables. Nothing is stored."""
    return PreviewOut.of(service.preview(caller.tenant_id, template_id, body.variables, body.contact_id, body.evidence))


@router.get("/drafts")
async def list_drafts(
    caller: Reader,
    drafts: Drafts,
    ids: Annotated[
        list[UUID], Query(alias="id", min_length=1, max_length=100, description="Repeat the parameter for several ids")
    ],
) -> Listing[DraftOut]:
    """List drafts by id. They are in the requested order, without those that do not exist."""
    return Listing(items=[DraftOut.of(draft) for draft in drafts.get_many(caller.tenant_id, ids)])


@router.get("/drafts/{draft_id}")
async def get_draft(draft_id: UUID, caller: Reader, drafts: Drafts) -> DraftOut:
    """Get a draft. It is shown as it would be sent."""
    return DraftOut.of(drafts.get(caller.tenant_id, draft_id))


@router.put("/drafts/{draft_id}")
async def update_draft(draft_id: UUID, body: DraftEdit, caller: Approver, drafts: Drafts) -> DraftOut:
    """Edit a draft before its approval. The approval shows the new hash, and only the new text can be sent. `sha256` is
    the hash of the text that you have read; if the draft has another one by now, the answer is 409."""
    content = Content(body.subject, body.text, body.html)
    return DraftOut.of(drafts.edit(caller.tenant_id, draft_id, content, caller.subject, body.sha256))
