"""Tests of the handler of SES events, with services that record their calls."""

from typing import Any
from uuid import UUID

import pytest

from email_sender.messaging.model import EmailStatus, SuppressionReason
from messaging_lambda.events import ses_events

EMAIL, TENANT = UUID(int=1), UUID(int=2)


class RecordedCalls:
    """Play the send service and the contact service."""

    def __init__(self) -> None:
        self.statuses: list[EmailStatus] = []
        self.suppressions: list[tuple[str, SuppressionReason]] = []

    def apply_provider_event(self, tenant_id: UUID, email_id: UUID, status: EmailStatus, *_: Any) -> None:
        assert (tenant_id, email_id) == (TENANT, EMAIL)
        self.statuses.append(status)

    def suppress(self, tenant_id: UUID, address: str, reason: SuppressionReason) -> None:
        assert tenant_id == TENANT
        self.suppressions.append((address, reason))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> RecordedCalls:
    recorded_calls = RecordedCalls()
    monkeypatch.setattr(ses_events, "send_service", lambda: recorded_calls)
    monkeypatch.setattr(ses_events, "contact_service", lambda: recorded_calls)
    return recorded_calls


def record(event_type: str, **details: Any) -> None:
    tags = {"email_id": [str(EMAIL)], "tenant_id": [str(TENANT)]}
    mail = {"messageId": "m1", "tags": tags, "destination": ["ann@example.org"]}
    event = {"detail": {"eventType": event_type, "mail": mail, **details}}
    ses_events.record(ses_events.SesEvent.model_validate(event))


@pytest.mark.parametrize("feedback", ["abuse", "fraud", "virus", "other", None])
def test_a_complaint_suppresses_the_address(calls: RecordedCalls, feedback: str | None) -> None:
    record("Complaint", complaint={"complaintFeedbackType": feedback} if feedback else {})
    assert calls.statuses == [EmailStatus.COMPLAINED]
    assert calls.suppressions == [("ann@example.org", SuppressionReason.COMPLAINED)]


def test_a_withdrawn_complaint_suppresses_nobody(calls: RecordedCalls) -> None:
    record("Complaint", complaint={"complaintFeedbackType": "not-spam"})
    assert (calls.statuses, calls.suppressions) == ([], [])


@pytest.mark.parametrize(("bounce_type", "suppressed"), [("Permanent", 1), ("Transient", 0), ("Undetermined", 0)])
def test_only_a_permanent_bounce_suppresses_the_address(
    calls: RecordedCalls, bounce_type: str, suppressed: int
) -> None:
    record("Bounce", bounce={"bounceType": bounce_type})
    assert (len(calls.statuses), len(calls.suppressions)) == (suppressed, suppressed)


def test_a_rejection_after_the_send_event_is_applied_and_suppresses_nobody(calls: RecordedCalls) -> None:
    record("Reject", reject={"reason": "Bad content"})
    assert (calls.statuses, calls.suppressions) == ([EmailStatus.REJECTED], [])


def test_mail_without_our_tags_changes_nothing(calls: RecordedCalls) -> None:
    event = {"detail": {"eventType": "Bounce", "mail": {"tags": {}}, "bounce": {"bounceType": "Permanent"}}}
    ses_events.record(ses_events.SesEvent.model_validate(event))
    assert (calls.statuses, calls.suppressions) == ([], [])
