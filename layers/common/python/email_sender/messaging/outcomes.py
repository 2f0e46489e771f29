"""Apply what servers report about sent email: deliveries, bounces, complaints, delays.

The reports come from the mail provider's events and from bounces that arrive as mail. Each is recorded with the email.
A permanent bounce or a complaint suppresses the address, also if the contact was deleted in the meantime. Temporary
bounces suppress it when there are several within some weeks.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID, uuid5

from email_sender.archive.addresses import normalise_address
from email_sender.archive.answer_tags import provider_ids_of
from email_sender.archive.delivery_reports import DeliveryReport, ReportedRecipient
from email_sender.clock import Clock, IdFactory
from email_sender.coordination.events import EventFactory
from email_sender.errors import InvalidInput
from email_sender.messaging.email_status import can_change
from email_sender.messaging.model import BounceType, Email, EmailStatus, SuppressionReason
from email_sender.messaging.ports import MessagingUnit, MessagingUnits


class ReportKind(StrEnum):
    SEND = "send"
    DELIVERY = "delivery"
    BOUNCE = "bounce"
    COMPLAINT = "complaint"
    REJECT = "reject"
    DELAY = "delay"
    RENDERING_FAILURE = "rendering_failure"
    SUBSCRIPTION = "subscription"


_STATUS_BY_KIND = {
    ReportKind.SEND: EmailStatus.SENT,
    ReportKind.DELIVERY: EmailStatus.DELIVERED,
    ReportKind.BOUNCE: EmailStatus.BOUNCED,
    ReportKind.COMPLAINT: EmailStatus.COMPLAINED,
    ReportKind.REJECT: EmailStatus.REJECTED,
    ReportKind.RENDERING_FAILURE: EmailStatus.REJECTED,
}


@dataclass(frozen=True, slots=True)
class OutcomeReport:
    """One report about one email. `detail` is the server's own words.

    `bounced_addresses` are the addresses that a permanent bounce or a complaint proves useless, or that a temporary
    bounce concerns. `unsubscribes`: the recipient left the mailing list that the provider keeps.
    """

    kind: ReportKind
    at: datetime
    detail: str = ""
    provider_id: str | None = None
    addresses: Sequence[str] = ()
    bounce_type: BounceType | None = None
    is_withdrawn: bool = False
    unsubscribes: bool = False


@dataclass(frozen=True, slots=True)
class BounceLimit:
    """So many temporary bounces within this time suppress an address."""

    count: int
    within: timedelta


class OutcomeService:
    def __init__(self, units: MessagingUnits, limit: Callable[[], BounceLimit], now: Clock, new_id: IdFactory) -> None:
        self._units, self._limit, self._now = units, limit, now
        self._events = EventFactory("messaging", now, new_id)

    def record(self, tenant_id: UUID, email_id: UUID, report: OutcomeReport) -> None:
        """Record the report and apply it. Repeated and late reports change nothing."""
        with self._units(tenant_id) as unit:
            email = unit.emails.get(email_id)
            is_new = email is None or unit.emails.add_report(email_id, report.kind, report.detail, report.at)
            self._suppress(unit, email_id, report)
            if email is not None and is_new:
                self._apply(unit, tenant_id, email, report)
            unit.commit()

    def apply(self, tenant_id: UUID, report: DeliveryReport, *, is_complaint: bool) -> None:
        """Apply a bounce or a complaint that came as mail. Implements archive.inbound_mail.DeliveryReports."""
        with self._units(tenant_id) as unit:
            email = unit.emails.find_by_provider_ids(provider_ids_of(report.message_ids))
            contact = unit.contacts.get(email.contact_id) if email else None
        if email is None or contact is None:
            return
        if is_complaint:
            # Most providers black out the recipient. An email has only one.
            complaint = OutcomeReport(ReportKind.COMPLAINT, self._now(), "complaint", addresses=[contact.address])
            self.record(tenant_id, email.id, complaint)
            return
        for recipient in report.recipients:
            concerns_contact = contact.address in (recipient.address, recipient.final_address)
            if concerns_contact or len(report.recipients) == 1:
                self.record(tenant_id, email.id, self._to_report(recipient, contact.address))

    def _to_report(self, recipient: ReportedRecipient, address: str) -> OutcomeReport:
        detail = " ".join(part for part in (recipient.status, recipient.diagnostic) if part)
        if recipient.action == "delayed":
            return OutcomeReport(ReportKind.DELAY, self._now(), detail)
        if recipient.action != "failed":
            return OutcomeReport(ReportKind.DELIVERY, self._now(), detail)
        bounce_type = BounceType.PERMANENT if recipient.proves_bad_address else BounceType.TEMPORARY
        return OutcomeReport(ReportKind.BOUNCE, self._now(), detail, None, [address], bounce_type)

    def _suppress(self, unit: MessagingUnit, email_id: UUID, report: OutcomeReport) -> None:
        if report.unsubscribes:
            self._suppress_all(unit, report, SuppressionReason.UNSUBSCRIBED)
        elif report.kind is ReportKind.COMPLAINT and not report.is_withdrawn:
            self._suppress_all(unit, report, SuppressionReason.COMPLAINED)
        elif report.bounce_type is BounceType.PERMANENT:
            self._suppress_all(unit, report, SuppressionReason.BOUNCED)
        elif report.kind is ReportKind.DELIVERY:
            unit.suppressions.forget_temporary_bounces(email_id)

    def _suppress_all(self, unit: MessagingUnit, report: OutcomeReport, reason: SuppressionReason) -> None:
        for address in _normalised(report.addresses):
            unit.suppressions.add(address, reason)

    def _apply(self, unit: MessagingUnit, tenant_id: UUID, email: Email, report: OutcomeReport) -> None:
        if report.kind is ReportKind.DELAY:
            self._emit(unit, tenant_id, email, "email.delayed", report, event_id=uuid5(email.id, "delayed"))
            return
        status = _STATUS_BY_KIND.get(report.kind)
        if status is None or report.is_withdrawn or not can_change(email, status, report.bounce_type):
            return
        if report.bounce_type is BounceType.TEMPORARY:
            self._count_temporary_bounce(unit, email, report)
        error = f"{status}: {report.detail}"[:1000] if status in _FAILURES and report.detail else None
        unit.emails.settle(email.id, status, self._now(), report.provider_id, error, report.bounce_type)
        self._emit(unit, tenant_id, email, f"email.{status}", report)

    def _count_temporary_bounce(self, unit: MessagingUnit, email: Email, report: OutcomeReport) -> None:
        limit = self._limit()
        for address in _normalised(report.addresses):
            count = unit.suppressions.add_temporary_bounce(address, email.id, report.at, report.at - limit.within)
            if count >= limit.count:
                unit.suppressions.add(address, SuppressionReason.BOUNCED)

    def _emit(
        self,
        unit: MessagingUnit,
        tenant_id: UUID,
        email: Email,
        event_type: str,
        report: OutcomeReport,
        event_id: UUID | None = None,
    ) -> None:
        data: dict[str, object] = {
            "email_id": str(email.id), "run_id": str(email.run_id), "contact_id": str(email.contact_id),
        }  # fmt: skip
        if report.kind not in (ReportKind.SEND, ReportKind.DELIVERY) and report.detail:
            data["reason"] = report.detail[:500]
        if report.kind is ReportKind.BOUNCE:
            data["is_permanent"] = report.bounce_type is BounceType.PERMANENT
        unit.emit(
            self._events.build(event_type, tenant_id, email.id, data, correlation_id=email.run_id, event_id=event_id)
        )


def _normalised(addresses: Sequence[str]) -> Sequence[str]:
    normalised: list[str] = []
    for address in addresses:
        with suppress(InvalidInput):
            normalised.append(normalise_address(address))
    return normalised


_FAILURES = (EmailStatus.BOUNCED, EmailStatus.COMPLAINED, EmailStatus.REJECTED)
