"""Mail that was sent, or not, and whom not to write to."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from email_sender.kit.auth import Principal, Requires
from email_sender.kit.idempotency import IdempotentRoute
from email_sender.kit.params import Cursor, Limit, id_cursor
from email_sender.kit.provided import provided
from email_sender.messaging.contacts import ContactService
from email_sender.messaging.model import SuppressionReason
from email_sender.messaging.sending import SendService
from email_sender.security.permissions import Permission
from messaging.bootstrap import contact_service, send_service
from messaging.schemas import EmailOut, Listing, SettleIn, SuppressionIn, SuppressionOut

router = APIRouter(tags=["emails"], route_class=IdempotentRoute)
Emails = Annotated[SendService, provided(send_service)]
Contacts = Annotated[ContactService, provided(contact_service)]
Reader = Annotated[Principal, Depends(Requires(Permission.MESSAGING_READ))]
Writer = Annotated[Principal, Depends(Requires(Permission.MESSAGING_WRITE))]
Sender = Annotated[Principal, Depends(Requires(Permission.MESSAGING_SEND))]


@router.get("/emails")
async def page(caller: Reader, service: Emails, limit: Limit = 50, cursor: Cursor = None) -> Listing[EmailOut]:
    """Emails, newest first."""
    found = service.page(caller.tenant_id, id_cursor(cursor), limit)
    return Listing(items=[EmailOut.of(each) for each in found.items], next_cursor=found.next_cursor)


@router.get("/emails/{email_id}")
async def read(email_id: UUID, caller: Reader, service: Emails) -> EmailOut:
    """One email and what became of it."""
    return EmailOut.of(service.get(caller.tenant_id, email_id))


@router.post("/emails/{email_id}/settle")
async def settle(email_id: UUID, body: SettleIn, caller: Sender, service: Emails) -> EmailOut:
    """Say what became of an email that is `unknown`. It is not sent by this, whatever the answer."""
    return EmailOut.of(service.decide(caller.tenant_id, email_id, sent=body.decision == "sent"))


@router.get("/suppressions")
async def suppressions(
    caller: Reader, service: Contacts, limit: Limit = 50, cursor: Cursor = None
) -> Listing[SuppressionOut]:
    """Addresses that get no mail. Masked for the role readonly."""
    found = service.suppressions(caller.tenant_id, cursor, limit)
    return Listing(items=[SuppressionOut.of(each, caller.role) for each in found.items], next_cursor=found.next_cursor)


@router.post("/suppressions", status_code=201)
async def suppress(body: SuppressionIn, caller: Writer, service: Contacts) -> SuppressionOut:
    """Send no more mail to an address. A repeat changes nothing."""
    added = service.suppress(caller.tenant_id, body.email, SuppressionReason.MANUAL)
    return SuppressionOut.of(added, caller.role)


@router.delete("/suppressions/{address}", status_code=204)
async def unsuppress(address: str, caller: Sender, service: Contacts) -> Response:
    """Allow mail to an address again."""
    service.unsuppress(caller.tenant_id, address)
    return Response(status_code=204)
