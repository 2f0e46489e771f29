"""Apply SES events to emails. The events come from the bus through a queue."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from email_sender.kit.queues import queue_handler
from email_sender.kit.telemetry import logger
from email_sender.messaging.model import BounceType
from email_sender.messaging.outcomes import OutcomeReport, ReportKind
from email_sender.messaging.outgoing_mail import EMAIL_ID_TAG
from messaging_lambda.bootstrap import outcome_service


class _Mail(BaseModel):
    message_id: str | None = Field(default=None, alias="messageId")
    tags: dict[str, list[str]] = Field(default_factory=dict)
    destination: list[str] = Field(default_factory=list)
    timestamp: datetime | None = None


class _Detail(BaseModel):
    model_config = ConfigDict(extra="allow")

    event_type: str = Field(alias="eventType")
    mail: _Mail

    def part(self, name: str) -> dict[str, Any]:
        """Return the event's own object, such as `bounce` of a Bounce event."""
        value = (self.model_extra or {}).get(name)
        return value if isinstance(value, dict) else {}


class SesEvent(BaseModel):
    detail: _Detail


def record(event: SesEvent) -> None:
    """Apply one SES event. Mail without our tags and events of other types change nothing."""
    detail = event.detail
    build = _REPORTS.get(detail.event_type)
    try:
        email_id, tenant_id = UUID(detail.mail.tags[EMAIL_ID_TAG][0]), UUID(detail.mail.tags["tenant_id"][0])
    except (KeyError, IndexError, ValueError):
        logger.warning("SES event ignored: the mail has no email tags", event_type=detail.event_type)
        return
    if build is None:
        logger.info("SES event ignored: no effect", event_type=detail.event_type, email_id=str(email_id))
        return
    outcome_service().record(tenant_id, email_id, build(detail))


def _send(detail: _Detail) -> OutcomeReport:
    return OutcomeReport(ReportKind.SEND, _time(detail, {}), "", detail.mail.message_id)


def _delivery(detail: _Detail) -> OutcomeReport:
    delivery = detail.part("delivery")
    return OutcomeReport(
        ReportKind.DELIVERY, _time(detail, delivery), str(delivery.get("smtpResponse", "")), detail.mail.message_id
    )


def _bounce(detail: _Detail) -> OutcomeReport:
    """A temporary bounce means that SES gave up, or that it took an out-of-office message for a bounce."""
    bounce = detail.part("bounce")
    is_permanent = bounce.get("bounceType") == "Permanent"
    recipients = [one for one in bounce.get("bouncedRecipients", []) if isinstance(one, dict)]
    diagnostics = [str(one["diagnosticCode"]) for one in recipients if one.get("diagnosticCode")]
    sub_type = "/".join(str(bounce[key]) for key in ("bounceType", "bounceSubType") if bounce.get(key))
    return OutcomeReport(
        ReportKind.BOUNCE,
        _time(detail, bounce),
        ", ".join([sub_type, *diagnostics[:1]]),
        detail.mail.message_id,
        _addresses(recipients) or detail.mail.destination,
        BounceType.PERMANENT if is_permanent else BounceType.TEMPORARY,
    )


def _complaint(detail: _Detail) -> OutcomeReport:
    """`not-spam` (RFC 6430): the recipient moved the mail out of the spam folder, which is the opposite."""
    complaint = detail.part("complaint")
    feedback_type = str(complaint.get("complaintFeedbackType") or "")
    recipients = [one for one in complaint.get("complainedRecipients", []) if isinstance(one, dict)]
    # A provider may list every recipient who could have complained: each email has only one.
    addresses = _addresses(recipients) or detail.mail.destination
    return OutcomeReport(
        ReportKind.COMPLAINT,
        _time(detail, complaint),
        feedback_type,
        detail.mail.message_id,
        addresses,
        is_withdrawn=feedback_type == "not-spam",
    )


def _reject(detail: _Detail) -> OutcomeReport:
    reason = str(detail.part("reject").get("reason", ""))
    return OutcomeReport(ReportKind.REJECT, _time(detail, {}), reason, detail.mail.message_id)


def _rendering_failure(detail: _Detail) -> OutcomeReport:
    reason = str(detail.part("failure").get("errorMessage", ""))
    return OutcomeReport(ReportKind.RENDERING_FAILURE, _time(detail, {}), reason, detail.mail.message_id)


def _delay(detail: _Detail) -> OutcomeReport:
    delay = detail.part("deliveryDelay")
    reason = str(delay.get("delayType", ""))
    return OutcomeReport(ReportKind.DELAY, _time(detail, delay), reason, detail.mail.message_id)


def _subscription(detail: _Detail) -> OutcomeReport:
    subscription = detail.part("subscription")
    preferences = subscription.get("newTopicPreferences")
    leaves = isinstance(preferences, dict) and preferences.get("unsubscribeAll") is True
    return OutcomeReport(
        ReportKind.SUBSCRIPTION,
        _time(detail, subscription),
        "unsubscribed from all topics" if leaves else "",
        detail.mail.message_id,
        detail.mail.destination,
        unsubscribes=leaves,
    )


def _addresses(recipients: list[dict[str, Any]]) -> list[str]:
    return [str(one["emailAddress"]) for one in recipients if one.get("emailAddress")]


def _time(detail: _Detail, part: dict[str, Any]) -> datetime:
    try:
        moment = datetime.fromisoformat(str(part["timestamp"]))
    except (KeyError, ValueError):
        moment = detail.mail.timestamp or datetime.fromtimestamp(0, UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


# SES's event types (docs.aws.amazon.com/ses, "Event data that Amazon SES publishes").
_REPORTS: dict[str, Callable[[_Detail], OutcomeReport]] = {
    "Send": _send,
    "Delivery": _delivery,
    "Bounce": _bounce,
    "Complaint": _complaint,
    "Reject": _reject,
    "Rendering Failure": _rendering_failure,
    "DeliveryDelay": _delay,
    "Subscription": _subscription,
}
handler = queue_handler(SesEvent, record)
