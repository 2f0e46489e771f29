"""Routes of contacts and their messages."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import ValidationError

from email_sender.archive.mail_kinds import MailKind
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.dependencies import depends_on
from email_sender.kit.idempotency import IdempotentRoute, operation_id
from email_sender.kit.pydantic_problems import problems_of
from email_sender.kit.query_parameters import Cursor, Limit, parse_id_cursor
from email_sender.kit.schemas import Listing
from email_sender.messaging.contact_search import asked_terms
from email_sender.messaging.contacts import AddedContact, Addition, ContactSelection, ContactService, NewContact
from email_sender.security.permissions import Permission, Role
from messaging_lambda.bootstrap import contact_service
from messaging_lambda.http.schemas import (
    AddedContactOut,
    AddedContactsOut,
    ContactChange,
    ContactIn,
    ContactOut,
    ContactsIn,
    MessageClassIn,
    MessageOut,
)

router = APIRouter(tags=["contacts"], route_class=IdempotentRoute)
Service = Annotated[ContactService, depends_on(contact_service)]
Reader = Annotated[Principal, Depends(Requires(Permission.MESSAGING_READ))]
Writer = Annotated[Principal, Depends(Requires(Permission.MESSAGING_WRITE))]


@router.get("/contacts")
async def list_contacts(
    caller: Reader,
    service: Service,
    limit: Limit = 50,
    cursor: Cursor = None,
    ids: Annotated[
        list[UUID] | None, Query(alias="id", max_length=100, description="Only these contacts; repeat the parameter")
    ] = None,
    email: Annotated[
        str | None,
        Query(
            min_length=3,
            max_length=320,
            description="Only the contact with this address",
            json_schema_extra={"format": "email"},
        ),
    ] = None,
    q: Annotated[
        str | None,
        Query(
            min_length=1, max_length=200, description="How words of the name or the address begin: all that are given"
        ),
    ] = None,
) -> Listing[ContactOut]:
    """List contacts. They are in the order of creation. Addresses are masked for the role readonly, whose `q` finds
    names only."""
    selection = ContactSelection(ids or (), email or "") if ids or email is not None else None
    terms = asked_terms(q, names_only=caller.role is Role.READONLY) if q is not None else []
    if q is not None and not terms:
        return Listing(items=[], next_cursor=None)
    contact_page = service.page(caller.tenant_id, parse_id_cursor(cursor), limit, selection, terms)
    return Listing(
        items=[ContactOut.of(contact, caller.role, standing) for contact, standing in contact_page.items],
        next_cursor=contact_page.next_cursor,
    )


@router.post("/contacts/bulk")
async def create_contacts(body: ContactsIn, caller: Writer, service: Service) -> AddedContactsOut:
    """Add up to 1,000 contacts. Returns what became of each: `added`, `exists`, `invalid` or `erased`. With `dry_run`,
    nothing is stored. Repeating the request adds nobody twice."""
    entries, invalid = [], {}
    for row, values in enumerate(body.contacts, 1):
        try:
            entry = ContactIn.model_validate(values)
            entries.append((row, NewContact(entry.email, entry.name, entry.attributes)))
        except ValidationError as error:
            invalid[row] = AddedContact(Addition.INVALID, detail=problems_of(error.errors(), values)[0].message)
    added = service.add_many(caller.tenant_id, [entry for _row, entry in entries], dry_run=body.dry_run)
    results = {**invalid, **{row: result for (row, _entry), result in zip(entries, added, strict=True)}}
    return AddedContactsOut(
        added=sum(result.outcome is Addition.ADDED for result in results.values()),
        results=[
            AddedContactOut(
                row=row,
                outcome=result.outcome,
                # A dry run stored nobody, so there is nobody to read.
                contact_id=None if body.dry_run and result.outcome is Addition.ADDED else result.contact_id,
                detail=result.detail,
            )
            for row, result in sorted(results.items())
        ],
    )


@router.post("/contacts", status_code=201)
async def create_contact(request: Request, body: ContactIn, caller: Writer, service: Service) -> ContactOut:
    """Add a contact. Returns 409 if the tenant already has the address."""
    contact = service.add(caller.tenant_id, operation_id(request), body.email, body.name, body.attributes)
    return _with_standing(contact.id, caller, service)


@router.get("/contacts/{contact_id}")
async def get_contact(contact_id: UUID, caller: Reader, service: Service) -> ContactOut:
    """Get a contact."""
    return _with_standing(contact_id, caller, service)


@router.put("/contacts/{contact_id}")
async def update_contact(contact_id: UUID, body: ContactChange, caller: Writer, service: Service) -> ContactOut:
    """Update a contact. Replaces the name and the attributes; the address cannot be changed."""
    service.update(caller.tenant_id, contact_id, body.name, body.attributes)
    return _with_standing(contact_id, caller, service)


@router.delete("/contacts/{contact_id}", status_code=204)
async def delete_contact(contact_id: UUID, caller: Writer, service: Service) -> Response:
    """Delete a contact. Its messages, drafts, emails and search points are deleted too. A suppression stays."""
    service.delete(caller.tenant_id, contact_id)
    return Response(status_code=204)


@router.get("/contacts/{contact_id}/messages")
async def list_contact_messages(
    contact_id: UUID, caller: Reader, service: Service, limit: Limit = 50, cursor: Cursor = None
) -> Listing[MessageOut]:
    """List a contact's messages. The newest come first."""
    message_page = service.messages(caller.tenant_id, contact_id, parse_id_cursor(cursor), limit)
    return Listing(
        items=[MessageOut.of(message) for message in message_page.items], next_cursor=message_page.next_cursor
    )


@router.get("/messages/uncertain")
async def list_uncertain_messages(
    caller: Reader, service: Service, limit: Limit = 50, cursor: Cursor = None
) -> Listing[MessageOut]:
    """List uncertain answers. A program may have written them; they end no wait until somebody has looked."""
    message_page = service.uncertain_answers(caller.tenant_id, parse_id_cursor(cursor), limit)
    return Listing(
        items=[MessageOut.of(message) for message in message_page.items], next_cursor=message_page.next_cursor
    )


@router.put("/messages/{message_id}/class")
async def classify_message(message_id: UUID, body: MessageClassIn, caller: Writer, service: Service) -> MessageOut:
    """Decide who wrote an uncertain message. A person's message answers its email, and a wait for it goes on."""
    return MessageOut.of(service.classify(caller.tenant_id, message_id, MailKind(body.kind)))


@router.get("/messages")
async def list_messages(
    caller: Reader,
    service: Service,
    ids: Annotated[
        list[UUID], Query(alias="id", min_length=1, max_length=100, description="Repeat the parameter for several ids")
    ],
) -> Listing[MessageOut]:
    """List messages by id. They are in the requested order. Use it to read the evidence of a search."""
    return Listing(items=[MessageOut.of(message) for message in service.messages_by_id(caller.tenant_id, ids)])


def _with_standing(contact_id: UUID, caller: Principal, service: ContactService) -> ContactOut:
    contact, standing = service.get_with_standing(caller.tenant_id, contact_id)
    return ContactOut.of(contact, caller.role, standing)
