"""Tests for sending exactly once, in every state of an email (docs/guides/sending.md)."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from email_sender.adapters.mail.unsubscribe_links import LinkKeys, SignedUnsubscribeLinks
from email_sender.errors import Conflict, Forbidden, InvalidInput, NotFound, RateLimited, Unavailable
from email_sender.kit.system_clock import new_id
from email_sender.messaging.model import (
    BounceType,
    Contact,
    Content,
    Draft,
    DraftApproval,
    Email,
    EmailFilter,
    EmailStatus,
    Message,
    SuppressionReason,
)
from email_sender.messaging.outcomes import BounceLimit, OutcomeReport, OutcomeService, ReportKind
from email_sender.messaging.ports import SendRejected, SendThrottled
from email_sender.messaging.sending import LEASE, SendOrder, SendService
from email_sender.messaging.templates import content_hash
from email_sender.security.permissions import Role
from email_sender.security.quotas import QuotaExceeded, QuotaKind
from tests.fakes.messaging import FakeMailProvider, FakeMessagingUnits, Killed, State

TENANT = UUID(int=1)
REPORTS = {
    EmailStatus.SENT: ReportKind.SEND,
    EmailStatus.DELIVERED: ReportKind.DELIVERY,
    EmailStatus.BOUNCED: ReportKind.BOUNCE,
    EmailStatus.COMPLAINED: ReportKind.COMPLAINT,
    EmailStatus.REJECTED: ReportKind.REJECT,
}


class FakeClock:
    def __init__(self) -> None:
        self.time = datetime(2026, 5, 4, 12, tzinfo=UTC)
        self.sleeps: list[float] = []

    def now(self) -> datetime:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.time += timedelta(seconds=seconds)


@dataclass
class SendingScenario:
    """A SendService with fake stores and provider, one contact and one draft."""

    units: FakeMessagingUnits
    provider: FakeMailProvider
    clock: FakeClock
    service: SendService
    contact: Contact
    draft: Draft

    def report(self, status: EmailStatus, provider_id: str = "provider-1", tenant: UUID = TENANT) -> None:
        """Record what the provider reports with this status."""
        outcomes = OutcomeService(self.units, lambda: BounceLimit(3, timedelta(days=30)), self.clock.now, new_id)
        bounce_type = BounceType.PERMANENT if status is EmailStatus.BOUNCED else None
        report = OutcomeReport(REPORTS[status], self.clock.now(), "", provider_id, (), bounce_type)
        outcomes.record(tenant, self.email.id, report)

    def order(self, role: Role = Role.ADMIN, **changes: UUID | str) -> SendOrder:
        return replace(SendOrder(TENANT, self.draft.run_id, "send", self.draft.id, role), **changes)  # type: ignore[arg-type]

    @property
    def state(self) -> State:
        return self.units.states[TENANT]

    @property
    def email(self) -> Email:
        (email,) = self.state.emails.values()
        return email

    @property
    def event_types(self) -> list[str]:
        return [event.type for event in self.units.events]

    def approve(self, status: str = "approved", role: str | None = "admin", sha256: str | None = None) -> None:
        approved = DraftApproval(sha256 or self.draft.sha256, status, role)
        self.state.approvals.append((self.draft.run_id, self.draft.id, approved))


def raising(error: BaseException) -> Callable[[], None]:
    def raises() -> None:
        raise error

    return raises


@pytest.fixture
def scenario() -> SendingScenario:
    units, provider, clock = FakeMessagingUnits(), FakeMailProvider(), FakeClock()
    links = SignedUnsubscribeLinks(lambda: LinkKeys("k1", {"k1": b"secret"}), "https://mail.example")
    service = SendService(units, provider, links, "set-1", clock.now, new_id, clock.sleep)
    contact = Contact(new_id(), "ann@example.org", "Ann")
    content = Content("Hello", "Text\n")
    draft = Draft(
        new_id(), new_id(), "draft", 0, contact.id, new_id(), 1, content, content_hash(contact.id, content)
    )  # fmt: skip
    units.states[TENANT] = State(contacts={contact.id: contact}, drafts={draft.id: draft})
    return SendingScenario(units, provider, clock, service, contact, draft)


def test_a_draft_is_sent_once_with_the_emails_id_in_its_tags(scenario: SendingScenario) -> None:
    email = scenario.service.send(scenario.order())
    (mail,) = scenario.provider.accepted_mails
    assert (mail.recipient, mail.sender) == ("ann@example.org", "support@acme.example")
    assert f"email_id={email.id}" in str(mail.message["X-SES-MESSAGE-TAGS"])
    assert (email.status, email.provider_message_id) == (EmailStatus.SENT, "provider-1")
    assert (scenario.email.status, scenario.email.provider_message_id) == (EmailStatus.SENT, "provider-1")
    assert scenario.event_types == ["email.queued", "email.sent"]


def test_an_answer_is_sent_below_the_message_that_it_answers(scenario: SendingScenario) -> None:
    message = Message(new_id(), scenario.contact.id, None, scenario.clock.now(), "Hi", "Hi.", "m1@people.example")
    scenario.state.messages[message.id] = message
    scenario.state.drafts[scenario.draft.id] = replace(scenario.draft, answers=message.id)
    scenario.service.send(scenario.order())
    (mail,) = scenario.provider.accepted_mails
    assert mail.message["In-Reply-To"] == mail.message["References"] == "<m1@people.example>"


def test_the_row_is_committed_as_sending_before_the_provider_is_called(scenario: SendingScenario) -> None:
    statuses: list[EmailStatus] = []
    scenario.provider.before = lambda: statuses.append(scenario.email.status)
    scenario.service.send(scenario.order())
    assert statuses == [EmailStatus.SENDING]


def test_a_repeat_of_a_sent_email_returns_it_and_sends_nothing(scenario: SendingScenario) -> None:
    first = scenario.service.send(scenario.order())
    again = scenario.service.send(scenario.order())
    assert (again.id, again.status) == (first.id, EmailStatus.SENT)
    assert len(scenario.provider.accepted_mails) == 1


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_sender_killed_around_the_provider_call_leaves_an_unknown_email_that_is_never_sent_again(
    scenario: SendingScenario, moment: str
) -> None:
    setattr(scenario.provider, moment, raising(Killed()))
    with pytest.raises(Killed):
        scenario.service.send(scenario.order())
    accepted_count = len(scenario.provider.accepted_mails)
    assert (scenario.email.status, accepted_count) == (EmailStatus.SENDING, 0 if moment == "before" else 1)

    setattr(scenario.provider, moment, lambda: None)
    assert scenario.service.send(scenario.order()).status is EmailStatus.UNKNOWN
    assert scenario.service.send(scenario.order()).status is EmailStatus.UNKNOWN
    assert len(scenario.provider.accepted_mails) == accepted_count
    assert scenario.event_types == ["email.queued", "email.unknown"]


def test_a_retry_waits_for_the_lease_before_the_email_becomes_unknown(scenario: SendingScenario) -> None:
    scenario.provider.after = raising(Killed())
    with pytest.raises(Killed):
        scenario.service.send(scenario.order())
    scenario.service.send(scenario.order())
    assert sum(scenario.clock.sleeps) == LEASE.total_seconds()
    assert max(scenario.clock.sleeps) <= 1


def test_a_sender_that_fails_before_its_claim_stores_nothing_and_the_retry_sends(scenario: SendingScenario) -> None:
    scenario.state.mail_from = None
    with pytest.raises(Conflict):
        scenario.service.send(scenario.order())
    assert scenario.state.emails == {}
    assert scenario.event_types == []
    scenario.state.mail_from = "support@acme.example"
    assert scenario.service.send(scenario.order()).status is EmailStatus.SENT


def test_a_second_sender_waits_for_the_first_and_returns_the_same_email(scenario: SendingScenario) -> None:
    entered, release = threading.Event(), threading.Event()

    def hold() -> None:
        entered.set()
        assert release.wait(10)

    def sleep(_: float) -> None:
        release.set()
        threading.Event().wait(0.01)

    scenario.provider.before = hold
    links = SignedUnsubscribeLinks(lambda: LinkKeys("k1", {"k1": b"secret"}), "https://mail.example")
    second = SendService(scenario.units, scenario.provider, links, "set-1", scenario.clock.now, new_id, sleep)
    with ThreadPoolExecutor(2) as threads:
        first_future = threads.submit(scenario.service.send, scenario.order())
        assert entered.wait(10)
        second_future = threads.submit(second.send, scenario.order())
        emails = [future.result(20) for future in (first_future, second_future)]
    assert [email.status for email in emails] == [EmailStatus.SENT, EmailStatus.SENT]
    assert emails[0].id == emails[1].id
    assert len(scenario.provider.accepted_mails) == 1


def test_a_throttled_email_is_queued_and_the_retry_sends_it_under_the_same_id(scenario: SendingScenario) -> None:
    scenario.provider.before = raising(SendThrottled())
    with pytest.raises(RateLimited):
        scenario.service.send(scenario.order())
    queued = scenario.email
    assert (queued.status, scenario.provider.accepted_mails) == (EmailStatus.QUEUED, [])
    scenario.provider.before = lambda: None
    sent_email = scenario.service.send(scenario.order())
    assert (sent_email.id, sent_email.status, len(scenario.provider.accepted_mails)) == (queued.id, EmailStatus.SENT, 1)


def test_a_rejected_email_is_not_sent_again(scenario: SendingScenario) -> None:
    scenario.provider.before = raising(SendRejected("MessageRejected"))
    with pytest.raises(InvalidInput, match="MessageRejected"):
        scenario.service.send(scenario.order())
    scenario.provider.before = lambda: None
    assert scenario.service.send(scenario.order()).status is EmailStatus.REJECTED
    assert scenario.provider.accepted_mails == []
    assert scenario.event_types == ["email.queued", "email.rejected"]


def test_an_email_without_a_provider_response_is_unknown_and_not_sent_again(scenario: SendingScenario) -> None:
    scenario.provider.after = raising(Unavailable("no answer"))
    assert scenario.service.send(scenario.order()).status is EmailStatus.UNKNOWN
    scenario.provider.after = lambda: None
    assert scenario.service.send(scenario.order()).status is EmailStatus.UNKNOWN
    assert len(scenario.provider.accepted_mails) == 1


def test_an_address_suppressed_before_sending_gets_nothing(scenario: SendingScenario) -> None:
    with scenario.units(TENANT) as unit:
        unit.suppressions.add("ann@example.org", SuppressionReason.UNSUBSCRIBED)
        unit.commit()
    for _ in range(2):
        email = scenario.service.send(scenario.order())
        assert email.status is EmailStatus.SUPPRESSED
        assert email.error == f"suppressed: unsubscribed on {datetime.now(UTC).date().isoformat()}"
    assert scenario.provider.accepted_mails == []
    assert scenario.event_types == ["email.suppressed"]


def test_an_address_suppressed_between_throttling_and_the_retry_gets_nothing(scenario: SendingScenario) -> None:
    scenario.provider.before = raising(SendThrottled())
    with pytest.raises(RateLimited):
        scenario.service.send(scenario.order())
    with scenario.units(TENANT) as unit:
        unit.suppressions.add("ann@example.org", SuppressionReason.BOUNCED)
        unit.commit()
    scenario.provider.before = lambda: None
    assert scenario.service.send(scenario.order()).status is EmailStatus.SUPPRESSED
    assert scenario.provider.accepted_mails == []


@pytest.mark.parametrize("role", [Role.USER, Role.READONLY, Role.OPERATOR])
def test_a_run_of_a_user_without_the_send_permission_sends_nothing_without_an_approval(
    scenario: SendingScenario, role: Role
) -> None:
    with pytest.raises(Forbidden, match="messaging:send"):
        scenario.service.send(scenario.order(role))
    assert scenario.state.emails == {}


def test_an_approval_by_a_user_with_the_send_permission_is_enough(scenario: SendingScenario) -> None:
    scenario.approve()
    assert scenario.service.send(scenario.order(Role.USER)).status is EmailStatus.SENT


@pytest.mark.parametrize("role", ["user", "readonly", "operator", None])
def test_an_approval_by_a_user_without_the_send_permission_is_not_enough(
    scenario: SendingScenario, role: str | None
) -> None:
    scenario.approve(role=role)
    with pytest.raises(Forbidden):
        scenario.service.send(scenario.order(Role.USER))


@pytest.mark.parametrize("status", ["denied", "pending", "expired"])
@pytest.mark.parametrize("role", [Role.USER, Role.ADMIN])
def test_a_draft_that_was_shown_but_not_approved_is_never_sent(
    scenario: SendingScenario, status: str, role: Role
) -> None:
    scenario.approve()
    scenario.approve(status)
    with pytest.raises(Forbidden, match="not approved"):
        scenario.service.send(scenario.order(role))
    assert scenario.provider.accepted_mails == []


def test_a_draft_that_the_approver_left_out_is_rejected_and_the_run_goes_on(scenario: SendingScenario) -> None:
    scenario.approve("approved", Role.ADMIN)
    state = scenario.units.states[TENANT]
    state.approvals = [(run, draft, replace(one, left_out=True)) for run, draft, one in state.approvals]
    email = scenario.service.send(scenario.order())
    assert (email.status, email.error) == (EmailStatus.REJECTED, "not sent: the approver left it out")
    assert scenario.service.send(scenario.order()).status is EmailStatus.REJECTED
    assert scenario.provider.accepted_mails == []


def test_another_draft_to_a_contact_is_sent_although_the_first_was_left_out(scenario: SendingScenario) -> None:
    other = replace(scenario.draft, id=new_id(), item=1)
    scenario.state.drafts[other.id] = other
    scenario.state.approvals = [
        (other.run_id, scenario.draft.id, DraftApproval(scenario.draft.sha256, "approved", "admin", left_out=True)),
        (other.run_id, other.id, DraftApproval(other.sha256, "approved", "admin")),
    ]
    assert scenario.service.send(scenario.order()).status is EmailStatus.REJECTED
    assert scenario.service.send(scenario.order(draft_id=other.id)).status is EmailStatus.SENT
    # The draft that was left out stays so, and does not replace what was sent.
    assert scenario.service.send(scenario.order()).status is EmailStatus.SENT
    assert len(scenario.provider.accepted_mails) == 1


def test_a_draft_that_was_approved_with_another_hash_is_not_sent(scenario: SendingScenario) -> None:
    scenario.approve(sha256="0" * 64)
    with pytest.raises(Forbidden, match="has changed since it was approved"):
        scenario.service.send(scenario.order())


@pytest.mark.parametrize(
    "changes",
    [
        {"content": Content("Hello", "Other text\n")},
        {"content": Content("Hello", "Text\n", "<p>Hidden</p>")},
        {"contact_id": new_id()},
        {"sha256": "0" * 64},
    ],
    ids=["text", "html", "contact", "hash"],
)
def test_a_draft_that_differs_from_the_approved_one_is_not_sent(
    scenario: SendingScenario, changes: dict[str, Content | UUID | str]
) -> None:
    scenario.approve()
    scenario.state.drafts[scenario.draft.id] = replace(scenario.draft, **changes)  # type: ignore[arg-type]
    with pytest.raises(Forbidden):
        scenario.service.send(scenario.order())
    assert scenario.provider.accepted_mails == []


def test_a_draft_of_another_run_or_of_another_tenant_is_not_found(scenario: SendingScenario) -> None:
    for order in (
        scenario.order(run_id=new_id()),
        scenario.order(draft_id=new_id()),
        scenario.order(tenant_id=UUID(int=2)),
    ):
        with pytest.raises(NotFound):
            scenario.service.send(order)


def test_a_deleted_contact_gets_nothing(scenario: SendingScenario) -> None:
    del scenario.state.contacts[scenario.contact.id]
    with pytest.raises(NotFound):
        scenario.service.send(scenario.order())


@pytest.mark.parametrize(
    ("before", "reported", "after"),
    [
        (EmailStatus.SENDING, EmailStatus.SENT, EmailStatus.SENT),
        (EmailStatus.UNKNOWN, EmailStatus.SENT, EmailStatus.SENT),
        (EmailStatus.UNKNOWN, EmailStatus.REJECTED, EmailStatus.REJECTED),
        (EmailStatus.UNKNOWN, EmailStatus.DELIVERED, EmailStatus.DELIVERED),
        (EmailStatus.UNKNOWN, EmailStatus.BOUNCED, EmailStatus.BOUNCED),
        (EmailStatus.SENT, EmailStatus.DELIVERED, EmailStatus.DELIVERED),
        (EmailStatus.SENT, EmailStatus.BOUNCED, EmailStatus.BOUNCED),
        (EmailStatus.SENT, EmailStatus.REJECTED, EmailStatus.REJECTED),
        (EmailStatus.DELIVERED, EmailStatus.BOUNCED, EmailStatus.BOUNCED),
        (EmailStatus.DELIVERED, EmailStatus.COMPLAINED, EmailStatus.COMPLAINED),
        (EmailStatus.BOUNCED, EmailStatus.COMPLAINED, EmailStatus.COMPLAINED),
        # Late or repeated:
        (EmailStatus.SENT, EmailStatus.SENT, EmailStatus.SENT),
        (EmailStatus.DELIVERED, EmailStatus.SENT, EmailStatus.DELIVERED),
        (EmailStatus.DELIVERED, EmailStatus.REJECTED, EmailStatus.DELIVERED),
        (EmailStatus.DELIVERED, EmailStatus.DELIVERED, EmailStatus.DELIVERED),
        (EmailStatus.BOUNCED, EmailStatus.DELIVERED, EmailStatus.BOUNCED),
        (EmailStatus.BOUNCED, EmailStatus.BOUNCED, EmailStatus.BOUNCED),
        (EmailStatus.COMPLAINED, EmailStatus.DELIVERED, EmailStatus.COMPLAINED),
        (EmailStatus.COMPLAINED, EmailStatus.COMPLAINED, EmailStatus.COMPLAINED),
        (EmailStatus.REJECTED, EmailStatus.SENT, EmailStatus.REJECTED),
        (EmailStatus.SUPPRESSED, EmailStatus.SENT, EmailStatus.SUPPRESSED),
    ],
)
def test_a_provider_event_only_moves_an_email_forward(
    scenario: SendingScenario, before: EmailStatus, reported: EmailStatus, after: EmailStatus
) -> None:
    email = scenario.service.send(scenario.order())
    scenario.state.emails[email.id] = replace(scenario.email, status=before)
    scenario.units.events.clear()
    scenario.report(reported)
    assert scenario.email.status is after
    assert scenario.event_types == ([] if before is after else [f"email.{after}"])


def test_the_providers_send_event_settles_the_email_of_a_killed_sender(scenario: SendingScenario) -> None:
    scenario.provider.after = raising(Killed())
    with pytest.raises(Killed):
        scenario.service.send(scenario.order())
    scenario.report(EmailStatus.SENT, "provider-9")
    scenario.provider.after = lambda: None
    assert scenario.service.send(scenario.order()).status is EmailStatus.SENT
    assert (scenario.email.provider_message_id, len(scenario.provider.accepted_mails)) == ("provider-9", 1)


def test_a_provider_event_for_another_tenants_email_changes_nothing(scenario: SendingScenario) -> None:
    scenario.service.send(scenario.order())
    scenario.report(EmailStatus.BOUNCED, tenant=UUID(int=2))
    assert scenario.email.status is EmailStatus.SENT


@pytest.mark.parametrize(("was_sent", "status"), [(True, EmailStatus.SENT), (False, EmailStatus.REJECTED)])
def test_an_operator_settles_an_unknown_email_once_and_sends_nothing(
    scenario: SendingScenario, was_sent: bool, status: EmailStatus
) -> None:
    scenario.provider.after = raising(Unavailable("no answer"))
    unknown = scenario.service.send(scenario.order())
    assert scenario.service.settle_unknown(TENANT, unknown.id, was_sent=was_sent).status is status
    with pytest.raises(Conflict):
        scenario.service.settle_unknown(TENANT, unknown.id, was_sent=not was_sent)
    assert (scenario.email.status, len(scenario.provider.accepted_mails)) == (status, 1)


@pytest.mark.parametrize("status", [status for status in EmailStatus if status is not EmailStatus.UNKNOWN])
def test_only_an_unknown_email_can_be_settled_by_an_operator(scenario: SendingScenario, status: EmailStatus) -> None:
    email = scenario.service.send(scenario.order())
    scenario.state.emails[email.id] = replace(scenario.email, status=status)
    with pytest.raises(Conflict):
        scenario.service.settle_unknown(TENANT, email.id, was_sent=False)
    assert scenario.email.status is status


def test_a_missing_email_can_be_neither_read_nor_settled(scenario: SendingScenario) -> None:
    with pytest.raises(NotFound):
        scenario.service.get(TENANT, new_id())
    with pytest.raises(NotFound):
        scenario.service.settle_unknown(TENANT, new_id(), was_sent=True)


def test_emails_are_read_page_by_page(scenario: SendingScenario) -> None:
    email_ids = [scenario.service.send(scenario.order(step=f"s{n}")).id for n in range(3)]
    first = scenario.service.page(TENANT, EmailFilter(), None, 2)
    assert first.next_cursor is not None
    rest = scenario.service.page(TENANT, EmailFilter(), UUID(first.next_cursor), 2)
    assert [email.id for email in [*first.items, *rest.items]] == email_ids[::-1]
    assert rest.next_cursor is None


def test_an_email_beyond_the_quota_is_not_sent_and_can_be_sent_later(scenario: SendingScenario) -> None:
    scenario.units.quotas[QuotaKind.EMAILS] = 0
    with pytest.raises(QuotaExceeded):
        scenario.service.send(scenario.order())
    assert scenario.provider.accepted_mails == []
    scenario.units.quotas.clear()
    assert scenario.service.send(scenario.order()).status is EmailStatus.SENT
    assert len(scenario.provider.accepted_mails) == 1


def test_a_throttled_email_counts_once(scenario: SendingScenario) -> None:
    scenario.provider.before = raising(SendThrottled("slowly"))
    with pytest.raises(RateLimited):
        scenario.service.send(scenario.order())
    scenario.provider.before = lambda: None
    scenario.service.send(scenario.order())
    assert scenario.units.spent == {QuotaKind.EMAILS: 1}
