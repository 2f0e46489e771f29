"""Routes of emails and suppressed addresses."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Response

from email_sender.coordination.stories import Stories
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.dependencies import depends_on
from email_sender.kit.idempotency import IdempotentRoute
from email_sender.kit.query_parameters import Cursor, Limit, parse_id_cursor
from email_sender.kit.schemas import Listing
from email_sender.kit.story_schemas import StoryOut
from email_sender.messaging.contacts import ContactService
from email_sender.messaging.model import EmailFilter, EmailStatus, SuppressionReason
from email_sender.messaging.sending import SendService
from email_sender.messaging.statistics import MailStatisticsReader
from email_sender.security.permissions import Permission
from messaging_lambda.bootstrap import contact_service, mail_statistics, send_service, stories
from messaging_lambda.http.schemas import EmailOut, SettleIn, StatisticsOut, SuppressionIn, SuppressionOut

router = APIRouter(tags=["emails"], route_class=IdempotentRoute)
Emails = Annotated[SendService, depends_on(send_service)]
Contacts = Annotated[ContactService, depends_on(contact_service)]
Reader = Annotated[Principal, Depends(Requires(Permission.MESSAGING_READ))]
Writer = Annotated[Principal, Depends(Requires(Permission.MESSAGING_WRITE))]
AddressPath = Annotated[str, Path(json_schema_extra={"format": "email"})]
Sender = Annotated[Principal, Depends(Requires(Permission.MESSAGING_SEND))]


@router.get("/emails")
async def list_emails(
    caller: Reader,
    service: Emails,
    run_id: UUID | None = None,
    contact_id: UUID | None = None,
    status: EmailStatus | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Listing[EmailOut]:
    """List emails. The newest come first. `run_id`, `contact_id` and `status` restrict the list."""
    email_filter = EmailFilter(run_id, contact_id, status)
    email_page = service.page(caller.tenant_id, email_filter, parse_id_cursor(cursor), limit)
    return Listing(items=[EmailOut.of(email) for email in email_page.items], next_cursor=email_page.next_cursor)


@router.get("/emails/statistics")
async def get_email_statistics(
    caller: Reader,
    reader: Annotated[MailStatisticsReader, depends_on(mail_statistics)],
    weeks: Annotated[int, Query(ge=1, le=53, description="This week and the weeks before it")] = 12,
) -> StatisticsOut:
    """Count emails by week and workflow. Returns how many were delivered, bounced and answered."""
    return StatisticsOut.of(reader.read(caller.tenant_id, weeks))


@router.get("/emails/{email_id}")
async def get_email(email_id: UUID, caller: Reader, service: Emails) -> EmailOut:
    """Get an email."""
    return EmailOut.of(service.get(caller.tenant_id, email_id))


@router.get("/emails/{email_id}/story")
async def get_email_story(email_id: UUID, caller: Reader, reader: Annotated[Stories, depends_on(stories)]) -> StoryOut:
    """Get the story of an email. Returns its workflow and version, evidence, approval, claim, reports and replies."""
    return StoryOut.of(reader.of_email(caller.tenant_id, email_id))


@router.post("/emails/{email_id}/settle")
async def settle_email(email_id: UUID, body: SettleIn, caller: Sender, service: Emails) -> EmailOut:
    """Settle an email that is `unknown`. Records whether it was sent; it is not sent again in either case."""
    return EmailOut.of(service.settle_unknown(caller.tenant_id, email_id, was_sent=body.decision == "sent"))


@router.get("/suppressions")
async def list_suppressions(
    caller: Reader, service: Contacts, limit: Limit = 50, cursor: Cursor = None
) -> Listing[SuppressionOut]:
    """List suppressed addresses. They receive no mail. Addresses are masked for the role readonly."""
    suppression_page = service.suppressions(caller.tenant_id, cursor, limit)
    return Listing(
        items=[SuppressionOut.of(suppression, caller.role) for suppression in suppression_page.items],
        next_cursor=suppression_page.next_cursor,
    )


@router.post("/suppressions", status_code=201)
async def create_suppression(body: SuppressionIn, caller: Writer, service: Contacts) -> SuppressionOut:
    """Suppress an address. It receives no more mail. Repeating the request changes nothing."""
    suppression = service.suppress(caller.tenant_id, body.email, SuppressionReason.MANUAL)
    return SuppressionOut.of(suppression, caller.role)


@router.delete("/suppressions/{address}", status_code=204)
async def delete_suppression(address: AddressPath, caller: Sender, service: Contacts) -> Response:
    """Remove a suppression. The address can receive mail again."""
    service.unsuppress(caller.tenant_id, address)
    return Response(status_code=204)
