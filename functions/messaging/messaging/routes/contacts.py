"""Contacts and what they wrote."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from email_sender.kit.auth import Principal, Requires
from email_sender.kit.idempotency import IdempotentRoute, operation_id
from email_sender.kit.params import Cursor, Limit, id_cursor
from email_sender.kit.provided import provided
from email_sender.messaging.contacts import ContactService
from email_sender.security.permissions import Permission
from messaging.bootstrap import contact_service
from messaging.schemas import ContactChange, ContactIn, ContactOut, Listing, MessageOut

router = APIRouter(tags=["contacts"], route_class=IdempotentRoute)
Service = Annotated[ContactService, provided(contact_service)]
Reader = Annotated[Principal, Depends(Requires(Permission.MESSAGING_READ))]
Writer = Annotated[Principal, Depends(Requires(Permission.MESSAGING_WRITE))]


@router.get("/contacts")
async def page(caller: Reader, service: Service, limit: Limit = 50, cursor: Cursor = None) -> Listing[ContactOut]:
    """Contacts, in the order they were made. Addresses are masked for the role readonly."""
    found = service.page(caller.tenant_id, id_cursor(cursor), limit)
    return Listing(items=[ContactOut.of(each, caller.role) for each in found.items], next_cursor=found.next_cursor)


@router.post("/contacts", status_code=201)
async def add(request: Request, body: ContactIn, caller: Writer, service: Service) -> ContactOut:
    """Add a contact; 409 where the tenant has the address already."""
    added = service.add(caller.tenant_id, operation_id(request), body.email, body.name, body.attributes)
    return ContactOut.of(added, caller.role)


@router.get("/contacts/{contact_id}")
async def read(contact_id: UUID, caller: Reader, service: Service) -> ContactOut:
    """One contact."""
    return ContactOut.of(service.get(caller.tenant_id, contact_id), caller.role)


@router.put("/contacts/{contact_id}")
async def change(contact_id: UUID, body: ContactChange, caller: Writer, service: Service) -> ContactOut:
    """Replace name and attributes; the address stays."""
    changed = service.update(caller.tenant_id, contact_id, body.name, body.attributes)
    return ContactOut.of(changed, caller.role)


@router.delete("/contacts/{contact_id}", status_code=204)
async def delete(contact_id: UUID, caller: Writer, service: Service) -> Response:
    """Delete a contact with its messages. A suppression of its address stays."""
    service.delete(caller.tenant_id, contact_id)
    return Response(status_code=204)


@router.get("/contacts/{contact_id}/messages")
async def messages(
    contact_id: UUID, caller: Reader, service: Service, limit: Limit = 50, cursor: Cursor = None
) -> Listing[MessageOut]:
    """What a contact wrote, newest first."""
    found = service.messages(caller.tenant_id, contact_id, id_cursor(cursor), limit)
    return Listing(items=[MessageOut.of(each) for each in found.items], next_cursor=found.next_cursor)


@router.get("/messages")
async def messages_by_id(
    caller: Reader,
    service: Service,
    ids: Annotated[list[UUID], Query(alias="id", min_length=1, max_length=100, description="Repeat for several")],
) -> Listing[MessageOut]:
    """Messages by id, such as the evidence of a search, in the order asked for."""
    return Listing(items=[MessageOut.of(each) for each in service.messages_by_id(caller.tenant_id, ids)])
