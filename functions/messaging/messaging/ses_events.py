"""What SES says of a mail after it took it: from the bus, by way of a queue, to the email's row."""

from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from email_sender.errors import NotFound
from email_sender.kit.queues import queue_handler
from email_sender.kit.telemetry import logger
from email_sender.messaging.mime import TAG
from email_sender.messaging.model import EmailStatus, SuppressionReason
from messaging.bootstrap import contact_service, send_service

# SES's eventType → ours (docs.aws.amazon.com/ses, "Event data that Amazon SES publishes").
_STATUS = {
    "Send": EmailStatus.SENT,
    "Delivery": EmailStatus.DELIVERED,
    "Bounce": EmailStatus.BOUNCED,
    "Complaint": EmailStatus.COMPLAINED,
    "Reject": EmailStatus.REJECTED,
}
_SUPPRESSED = {
    EmailStatus.BOUNCED: SuppressionReason.BOUNCED,
    EmailStatus.COMPLAINED: SuppressionReason.COMPLAINED,
}


class _Mail(BaseModel):
    message_id: str | None = Field(default=None, alias="messageId")
    tags: dict[str, list[str]] = Field(default_factory=dict)
    destination: list[str] = Field(default_factory=list)


class _Detail(BaseModel):
    model_config = ConfigDict(extra="allow")

    event_type: str = Field(alias="eventType")
    mail: _Mail
    bounce: dict[str, Any] = Field(default_factory=dict)


class SesEvent(BaseModel):
    detail: _Detail


def record(event: SesEvent) -> None:
    """A mail without our tags is not ours to record; a temporary bounce is SES's to retry."""
    detail = event.detail
    status = _STATUS.get(detail.event_type)
    try:
        email_id, tenant_id = UUID(detail.mail.tags[TAG][0]), UUID(detail.mail.tags["tenant_id"][0])
    except (KeyError, IndexError, ValueError):
        logger.warning("an SES event without our tags", event_type=detail.event_type)
        return
    if status is None or (status is EmailStatus.BOUNCED and detail.bounce.get("bounceType") != "Permanent"):
        logger.info("an SES event that changes nothing", event_type=detail.event_type, email_id=str(email_id))
        return
    try:
        send_service().provider_said(tenant_id, email_id, status, detail.mail.message_id, None)
    except NotFound:
        logger.warning("an SES event of an email that is not there", email_id=str(email_id))
        return
    if status in _SUPPRESSED:
        for address in detail.mail.destination:
            contact_service().suppress(tenant_id, address, _SUPPRESSED[status])


handler = queue_handler(SesEvent, record)
