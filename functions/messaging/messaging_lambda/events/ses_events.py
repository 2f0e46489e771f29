"""Apply SES events to emails. The events come from the bus through a queue."""

from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from email_sender.errors import NotFound
from email_sender.kit.queues import queue_handler
from email_sender.kit.telemetry import logger
from email_sender.messaging.model import EmailStatus, SuppressionReason
from email_sender.messaging.outgoing_mail import EMAIL_ID_TAG
from messaging_lambda.bootstrap import contact_service, send_service

# SES's eventType to our status (docs.aws.amazon.com/ses, "Event data that Amazon SES publishes").
_STATUS_BY_EVENT_TYPE = {
    "Send": EmailStatus.SENT,
    "Delivery": EmailStatus.DELIVERED,
    "Bounce": EmailStatus.BOUNCED,
    "Complaint": EmailStatus.COMPLAINED,
    "Reject": EmailStatus.REJECTED,
}
_SUPPRESSION_REASONS = {
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
    complaint: dict[str, Any] = Field(default_factory=dict)

    @property
    def is_withdrawn_complaint(self) -> bool:
        """Whether the recipient moved the mail out of the spam folder (Feedback-Type `not-spam`, RFC 6430)."""
        return self.complaint.get("complaintFeedbackType") == "not-spam"


class SesEvent(BaseModel):
    detail: _Detail


def record(event: SesEvent) -> None:
    """Apply one SES event.

    Mail without our tags, temporary bounces, which SES retries, and withdrawn complaints change nothing.
    """
    detail = event.detail
    status = _STATUS_BY_EVENT_TYPE.get(detail.event_type)
    try:
        email_id, tenant_id = UUID(detail.mail.tags[EMAIL_ID_TAG][0]), UUID(detail.mail.tags["tenant_id"][0])
    except (KeyError, IndexError, ValueError):
        logger.warning("SES event ignored: the mail has no email tags", event_type=detail.event_type)
        return
    is_temporary = status is EmailStatus.BOUNCED and detail.bounce.get("bounceType") != "Permanent"
    if status is None or is_temporary or detail.is_withdrawn_complaint:
        logger.info("SES event ignored: no effect", event_type=detail.event_type, email_id=str(email_id))
        return
    try:
        send_service().apply_provider_event(tenant_id, email_id, status, detail.mail.message_id, None)
    except NotFound:
        logger.warning("SES event ignored: email not found", email_id=str(email_id))
        return
    if status in _SUPPRESSION_REASONS:
        for address in detail.mail.destination:
            contact_service().suppress(tenant_id, address, _SUPPRESSION_REASONS[status])


handler = queue_handler(SesEvent, record)
