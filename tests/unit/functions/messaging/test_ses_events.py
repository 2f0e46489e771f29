"""Tests of the handler of SES events, with in-memory stores."""

import itertools
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from email_sender.kit.system_clock import new_id
from email_sender.messaging.model import BounceType, Contact, Email, EmailStatus, SuppressionReason
from email_sender.messaging.outcomes import BounceLimit, OutcomeService
from messaging_lambda.events import ses_events
from tests.fakes.messaging import FakeMessagingUnits, State

TENANT = UUID(int=2)
NOW = datetime(2026, 5, 5, 10, tzinfo=UTC)
ADDRESS = "ann@example.org"


class Mailbox:
    """One tenant with one sent email."""

    def __init__(self) -> None:
        self.units = FakeMessagingUnits()
        contact = Contact(new_id(), ADDRESS)
        self.email = Email(new_id(), new_id(), "send", contact.id, new_id(), "x", EmailStatus.SENDING, NOW)
        self.state.contacts[contact.id] = contact
        self.state.emails[self.email.id] = self.email
        self.outcomes = OutcomeService(self.units, lambda: BounceLimit(3, timedelta(days=30)), lambda: NOW, new_id)

    @property
    def state(self) -> State:
        return self.units.states.setdefault(TENANT, State())

    @property
    def status(self) -> EmailStatus:
        return self.state.emails[self.email.id].status

    @property
    def reasons(self) -> dict[str, SuppressionReason]:
        return {address: suppression.reason for address, suppression in self.state.suppressions.items()}

    @property
    def event_types(self) -> list[str]:
        return [event.type for event in self.units.events]

    def report(self, event_type: str, email_id: UUID | None = None, seconds: int = 0, **parts: Any) -> None:
        moment = (NOW + timedelta(seconds=seconds)).isoformat()
        tags = {"email_id": [str(email_id or self.email.id)], "tenant_id": [str(TENANT)]}
        mail = {"messageId": "m1", "tags": tags, "destination": [ADDRESS], "timestamp": NOW.isoformat()}
        timed = {name: {"timestamp": moment, **part} for name, part in parts.items()}
        event = {"detail": {"eventType": event_type, "mail": mail, **timed}}
        ses_events.record(ses_events.SesEvent.model_validate_json(json.dumps(event)))


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> Mailbox:
    mailbox = Mailbox()
    monkeypatch.setattr(ses_events, "outcome_service", lambda: mailbox.outcomes)
    return mailbox


@pytest.mark.parametrize("feedback", ["abuse", "fraud", "virus", "other", None])
def test_a_complaint_suppresses_the_address(mailbox: Mailbox, feedback: str | None) -> None:
    mailbox.report("Complaint", complaint={"complaintFeedbackType": feedback} if feedback else {})
    assert (mailbox.status, mailbox.reasons) == (EmailStatus.COMPLAINED, {ADDRESS: SuppressionReason.COMPLAINED})


def test_a_withdrawn_complaint_changes_nothing(mailbox: Mailbox) -> None:
    mailbox.report("Send")
    mailbox.report("Delivery", delivery={})
    mailbox.report("Complaint", complaint={"complaintFeedbackType": "not-spam"})
    assert (mailbox.status, mailbox.reasons) == (EmailStatus.DELIVERED, {})


def test_a_permanent_bounce_suppresses_the_address(mailbox: Mailbox) -> None:
    recipients = [{"emailAddress": ADDRESS, "diagnosticCode": "smtp; 550 5.1.1 no such user"}]
    mailbox.report(
        "Bounce", bounce={"bounceType": "Permanent", "bounceSubType": "General", "bouncedRecipients": recipients}
    )
    email = mailbox.state.emails[mailbox.email.id]
    assert (email.status, email.bounce_type) == (EmailStatus.BOUNCED, BounceType.PERMANENT)
    assert email.error == "bounced: Permanent/General, smtp; 550 5.1.1 no such user"
    assert mailbox.reasons == {ADDRESS: SuppressionReason.BOUNCED}


@pytest.mark.parametrize("bounce_type", ["Transient", "Undetermined"])
def test_a_temporary_bounce_ends_the_email_and_suppresses_nobody(mailbox: Mailbox, bounce_type: str) -> None:
    mailbox.report("Send")
    mailbox.report("Bounce", bounce={"bounceType": bounce_type})
    assert (mailbox.status, mailbox.reasons) == (EmailStatus.BOUNCED, {})
    assert mailbox.event_types == ["email.sent", "email.bounced"]


def test_an_out_of_office_message_that_ses_takes_for_a_bounce_changes_nothing(mailbox: Mailbox) -> None:
    mailbox.report("Send")
    mailbox.report("Delivery", delivery={})
    mailbox.report("Bounce", seconds=6, bounce={"bounceType": "Transient", "bounceSubType": "General"})
    assert (mailbox.status, mailbox.reasons) == (EmailStatus.DELIVERED, {})
    assert mailbox.event_types == ["email.sent", "email.delivered"]


def test_the_third_temporary_bounce_within_a_month_suppresses_the_address(mailbox: Mailbox) -> None:
    for number in range(3):
        email = Email(new_id(), new_id(), "send", mailbox.email.contact_id, new_id(), "x", EmailStatus.SENT, NOW)
        mailbox.state.emails[email.id] = email
        assert mailbox.reasons == {}
        mailbox.report("Bounce", email.id, seconds=number * 86_400, bounce={"bounceType": "Transient"})
    assert mailbox.reasons == {ADDRESS: SuppressionReason.BOUNCED}


def test_temporary_bounces_far_apart_suppress_nobody(mailbox: Mailbox) -> None:
    for number in range(3):
        email = Email(new_id(), new_id(), "send", mailbox.email.contact_id, new_id(), "x", EmailStatus.SENT, NOW)
        mailbox.state.emails[email.id] = email
        mailbox.report("Bounce", email.id, seconds=number * 86_400 * 20, bounce={"bounceType": "Transient"})
    assert mailbox.reasons == {}


def test_a_rejection_after_the_send_event_is_applied_and_suppresses_nobody(mailbox: Mailbox) -> None:
    mailbox.report("Send")
    mailbox.report("Reject", reject={"reason": "Bad content"})
    assert (mailbox.status, mailbox.reasons) == (EmailStatus.REJECTED, {})
    assert mailbox.event_types == ["email.sent", "email.rejected"]


def test_a_delay_and_a_rendering_failure_are_reported(mailbox: Mailbox) -> None:
    mailbox.report("Send")
    mailbox.report("DeliveryDelay", deliveryDelay={"delayType": "MailboxFull"})
    mailbox.report("DeliveryDelay", deliveryDelay={"delayType": "MailboxFull"})
    assert (mailbox.status, mailbox.event_types) == (EmailStatus.SENT, ["email.sent", "email.delayed"])
    mailbox.report("Rendering Failure", failure={"errorMessage": "a name is missing"})
    assert mailbox.status is EmailStatus.REJECTED


def test_a_recipient_who_leaves_the_providers_list_is_unsubscribed(mailbox: Mailbox) -> None:
    mailbox.report("Subscription", subscription={"newTopicPreferences": {"unsubscribeAll": True}})
    assert mailbox.reasons == {ADDRESS: SuppressionReason.UNSUBSCRIBED}


def test_a_complaint_about_the_email_of_a_deleted_contact_still_suppresses_the_address(mailbox: Mailbox) -> None:
    mailbox.report("Complaint", email_id=new_id(), complaint={"complainedRecipients": [{"emailAddress": ADDRESS}]})
    assert mailbox.reasons == {ADDRESS: SuppressionReason.COMPLAINED}


def test_mail_without_our_tags_changes_nothing(mailbox: Mailbox) -> None:
    event = {"detail": {"eventType": "Bounce", "mail": {"tags": {}}, "bounce": {"bounceType": "Permanent"}}}
    ses_events.record(ses_events.SesEvent.model_validate(event))
    assert (mailbox.status, mailbox.reasons) == (EmailStatus.SENDING, {})


_HAPPY: Sequence[tuple[str, dict[str, Any]]] = (("Send", {}), ("Delivery", {"delivery": {}}))
_SEQUENCES: dict[str, tuple[Sequence[tuple[str, dict[str, Any]]], EmailStatus]] = {
    "delivered": (_HAPPY, EmailStatus.DELIVERED),
    "out of office": ((*_HAPPY, ("Bounce", {"bounce": {"bounceType": "Transient"}})), EmailStatus.DELIVERED),
    "bounced later": ((*_HAPPY, ("Bounce", {"bounce": {"bounceType": "Permanent"}})), EmailStatus.BOUNCED),
    "expired": ((("Send", {}), ("Bounce", {"bounce": {"bounceType": "Transient"}})), EmailStatus.BOUNCED),
    "complained": ((*_HAPPY, ("Complaint", {"complaint": {}})), EmailStatus.COMPLAINED),
    "rejected": ((("Send", {}), ("Reject", {"reject": {"reason": "Bad content"}})), EmailStatus.REJECTED),
}


@pytest.mark.parametrize("name", _SEQUENCES)
def test_events_have_one_result_in_any_order_and_repeated(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    events, status = _SEQUENCES[name]
    for order in itertools.permutations(events):
        mailbox = Mailbox()
        monkeypatch.setattr(ses_events, "outcome_service", lambda box=mailbox: box.outcomes)
        for event_type, parts in (*order, *order):
            mailbox.report(event_type, **parts)
        assert mailbox.status is status, order
