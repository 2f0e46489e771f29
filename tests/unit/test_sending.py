"""Sending exactly once, in every state of an email: docs/guides/sending.md."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from email_sender.adapters.unsubscribe import LinkKeys, SignedUnsubscribeLinks
from email_sender.errors import Conflict, Forbidden, InvalidInput, NotFound, RateLimited, Unavailable
from email_sender.kit.ambient import new_id
from email_sender.messaging.model import Approved, Contact, Content, Draft, Email, EmailStatus, SuppressionReason
from email_sender.messaging.ports import SendRejected, SendThrottled
from email_sender.messaging.sending import LEASE, SendOrder, SendService
from email_sender.messaging.templates import content_hash
from email_sender.security.permissions import Role
from tests.fakes.messaging import FakeMailProvider, FakeMessagingUnits, Killed, State

TENANT = UUID(int=1)


class Clock:
    def __init__(self) -> None:
        self.time = datetime(2026, 5, 4, 12, tzinfo=UTC)
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += timedelta(seconds=seconds)


@dataclass
class Office:
    """Everything around a service that sends, with one contact and one draft."""

    units: FakeMessagingUnits
    provider: FakeMailProvider
    clock: Clock
    service: SendService
    contact: Contact
    draft: Draft

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
    def told(self) -> list[str]:
        return [event.type for event in self.units.events]

    def approve(self, status: str = "approved", role: str | None = "admin", sha256: str | None = None) -> None:
        approved = Approved(sha256 or self.draft.sha256, status, role)
        self.state.approvals.append((self.draft.run_id, self.draft.id, approved))


def fails(error: BaseException) -> Callable[[], None]:
    def raises() -> None:
        raise error

    return raises


@pytest.fixture
def office() -> Office:
    units, provider, clock = FakeMessagingUnits(), FakeMailProvider(), Clock()
    links = SignedUnsubscribeLinks(lambda: LinkKeys("k1", {"k1": b"secret"}), "https://mail.example")
    service = SendService(units, provider, links, "set-1", clock.now, new_id, clock.sleep)
    contact = Contact(new_id(), "ann@example.org", "Ann")
    content = Content("Hello", "Text\n")
    draft = Draft(
        new_id(), new_id(), "draft", 0, contact.id, new_id(), 1, content, content_hash(contact.id, content)
    )  # fmt: skip
    units.states[TENANT] = State(contacts={contact.id: contact}, drafts={draft.id: draft})
    return Office(units, provider, clock, service, contact, draft)


def test_a_draft_is_sent_once_and_carries_the_emails_id_to_the_provider(office: Office) -> None:
    email = office.service.send(office.order())
    (taken,) = office.provider.taken
    assert (taken.recipient, taken.sender) == ("ann@example.org", "Acme Support <support@acme.example>")
    assert f"email_id={email.id}" in str(taken.message["X-SES-MESSAGE-TAGS"])
    assert (email.status, email.provider_message_id) == (EmailStatus.SENT, "provider-1")
    assert (office.email.status, office.email.provider_message_id) == (EmailStatus.SENT, "provider-1")
    assert office.told == ["email.queued", "email.sent"]


def test_the_row_is_committed_as_sending_before_the_provider_is_called(office: Office) -> None:
    seen: list[EmailStatus] = []
    office.provider.before = lambda: seen.append(office.email.status)
    office.service.send(office.order())
    assert seen == [EmailStatus.SENDING]


def test_a_repeat_of_a_sent_email_answers_with_it_and_sends_nothing(office: Office) -> None:
    first = office.service.send(office.order())
    again = office.service.send(office.order())
    assert (again.id, again.status) == (first.id, EmailStatus.SENT)
    assert len(office.provider.taken) == 1


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_sender_killed_around_the_call_leaves_an_unknown_email_that_is_never_sent_again(
    office: Office, moment: str
) -> None:
    setattr(office.provider, moment, fails(Killed()))
    with pytest.raises(Killed):
        office.service.send(office.order())
    taken = len(office.provider.taken)
    assert (office.email.status, taken) == (EmailStatus.SENDING, 0 if moment == "before" else 1)

    setattr(office.provider, moment, lambda: None)
    assert office.service.send(office.order()).status is EmailStatus.UNKNOWN
    assert office.service.send(office.order()).status is EmailStatus.UNKNOWN
    assert len(office.provider.taken) == taken
    assert office.told == ["email.queued", "email.unknown"]


def test_a_retry_waits_for_the_lease_and_no_longer_before_it_says_unknown(office: Office) -> None:
    office.provider.after = fails(Killed())
    with pytest.raises(Killed):
        office.service.send(office.order())
    office.service.send(office.order())
    assert sum(office.clock.slept) == LEASE.total_seconds()
    assert max(office.clock.slept) <= 1


def test_a_sender_killed_before_it_claimed_leaves_nothing_and_the_retry_sends(office: Office) -> None:
    office.state.mail_from = None
    with pytest.raises(Conflict):
        office.service.send(office.order())
    assert office.state.emails == {}
    assert office.told == []
    office.state.mail_from = "support@acme.example"
    assert office.service.send(office.order()).status is EmailStatus.SENT


def test_a_second_sender_waits_while_the_first_is_at_work_and_answers_what_it_did(office: Office) -> None:
    entered, release = threading.Event(), threading.Event()

    def hold() -> None:
        entered.set()
        assert release.wait(10)

    def sleep(_: float) -> None:
        release.set()
        threading.Event().wait(0.01)

    office.provider.before = hold
    links = SignedUnsubscribeLinks(lambda: LinkKeys("k1", {"k1": b"secret"}), "https://mail.example")
    second = SendService(office.units, office.provider, links, "set-1", office.clock.now, new_id, sleep)
    with ThreadPoolExecutor(2) as threads:
        first_answer = threads.submit(office.service.send, office.order())
        assert entered.wait(10)
        second_answer = threads.submit(second.send, office.order())
        answers = [each.result(20) for each in (first_answer, second_answer)]
    assert [each.status for each in answers] == [EmailStatus.SENT, EmailStatus.SENT]
    assert answers[0].id == answers[1].id
    assert len(office.provider.taken) == 1


def test_a_throttled_email_is_queued_and_the_retry_sends_it_under_the_same_id(office: Office) -> None:
    office.provider.before = fails(SendThrottled())
    with pytest.raises(RateLimited):
        office.service.send(office.order())
    queued = office.email
    assert (queued.status, office.provider.taken) == (EmailStatus.QUEUED, [])
    office.provider.before = lambda: None
    sent = office.service.send(office.order())
    assert (sent.id, sent.status, len(office.provider.taken)) == (queued.id, EmailStatus.SENT, 1)


def test_a_rejected_email_is_refused_and_not_offered_again(office: Office) -> None:
    office.provider.before = fails(SendRejected("MessageRejected"))
    with pytest.raises(InvalidInput, match="MessageRejected"):
        office.service.send(office.order())
    office.provider.before = lambda: None
    assert office.service.send(office.order()).status is EmailStatus.REJECTED
    assert office.provider.taken == []
    assert office.told == ["email.queued", "email.rejected"]


def test_no_answer_of_the_provider_is_unknown_and_the_email_is_not_sent_again(office: Office) -> None:
    office.provider.after = fails(Unavailable("no answer"))
    assert office.service.send(office.order()).status is EmailStatus.UNKNOWN
    office.provider.after = lambda: None
    assert office.service.send(office.order()).status is EmailStatus.UNKNOWN
    assert len(office.provider.taken) == 1


def test_an_address_suppressed_by_the_moment_of_sending_gets_nothing(office: Office) -> None:
    with office.units(TENANT) as unit:
        unit.suppressions.add("ann@example.org", SuppressionReason.UNSUBSCRIBED)
        unit.commit()
    for _ in range(2):
        assert office.service.send(office.order()).status is EmailStatus.SUPPRESSED
    assert office.provider.taken == []
    assert office.told == ["email.suppressed"]


def test_an_address_suppressed_between_throttling_and_the_retry_gets_nothing(office: Office) -> None:
    office.provider.before = fails(SendThrottled())
    with pytest.raises(RateLimited):
        office.service.send(office.order())
    with office.units(TENANT) as unit:
        unit.suppressions.add("ann@example.org", SuppressionReason.BOUNCED)
        unit.commit()
    office.provider.before = lambda: None
    assert office.service.send(office.order()).status is EmailStatus.SUPPRESSED
    assert office.provider.taken == []


@pytest.mark.parametrize("role", [Role.USER, Role.READONLY, Role.OPERATOR])
def test_a_run_of_somebody_who_may_not_send_sends_nothing_without_an_approval(office: Office, role: Role) -> None:
    with pytest.raises(Forbidden, match="messaging:send"):
        office.service.send(office.order(role))
    assert office.state.emails == {}


def test_an_approval_by_somebody_who_may_send_is_enough(office: Office) -> None:
    office.approve()
    assert office.service.send(office.order(Role.USER)).status is EmailStatus.SENT


@pytest.mark.parametrize("role", ["user", "readonly", "operator", None])
def test_an_approval_by_somebody_who_may_not_send_is_not(office: Office, role: str | None) -> None:
    office.approve(role=role)
    with pytest.raises(Forbidden):
        office.service.send(office.order(Role.USER))


@pytest.mark.parametrize("status", ["denied", "pending", "expired"])
@pytest.mark.parametrize("role", [Role.USER, Role.ADMIN])
def test_what_was_shown_and_not_approved_is_sent_by_nobody(office: Office, status: str, role: Role) -> None:
    office.approve()
    office.approve(status)
    with pytest.raises(Forbidden, match="not approved"):
        office.service.send(office.order(role))
    assert office.provider.taken == []


def test_what_was_approved_under_another_hash_is_not_sent(office: Office) -> None:
    office.approve(sha256="0" * 64)
    with pytest.raises(Forbidden, match="not what was approved"):
        office.service.send(office.order())


@pytest.mark.parametrize(
    "changed",
    [
        {"content": Content("Hello", "Other text\n")},
        {"content": Content("Hello", "Text\n", "<p>Hidden</p>")},
        {"contact_id": new_id()},
        {"sha256": "0" * 64},
    ],
    ids=["text", "html", "contact", "hash"],
)
def test_a_draft_that_is_not_what_was_stored_is_not_sent(
    office: Office, changed: dict[str, Content | UUID | str]
) -> None:
    office.approve()
    office.state.drafts[office.draft.id] = replace(office.draft, **changed)  # type: ignore[arg-type]
    with pytest.raises(Forbidden):
        office.service.send(office.order())
    assert office.provider.taken == []


def test_a_draft_of_another_run_or_of_another_tenant_is_not_found(office: Office) -> None:
    for order in (office.order(run_id=new_id()), office.order(draft_id=new_id()), office.order(tenant_id=UUID(int=2))):
        with pytest.raises(NotFound):
            office.service.send(order)


def test_a_contact_that_is_gone_gets_nothing(office: Office) -> None:
    del office.state.contacts[office.contact.id]
    with pytest.raises(NotFound):
        office.service.send(office.order())


@pytest.mark.parametrize(
    ("before", "said", "after"),
    [
        (EmailStatus.SENDING, EmailStatus.SENT, EmailStatus.SENT),
        (EmailStatus.UNKNOWN, EmailStatus.SENT, EmailStatus.SENT),
        (EmailStatus.UNKNOWN, EmailStatus.REJECTED, EmailStatus.REJECTED),
        (EmailStatus.UNKNOWN, EmailStatus.DELIVERED, EmailStatus.DELIVERED),
        (EmailStatus.UNKNOWN, EmailStatus.BOUNCED, EmailStatus.BOUNCED),
        (EmailStatus.SENT, EmailStatus.DELIVERED, EmailStatus.DELIVERED),
        (EmailStatus.SENT, EmailStatus.BOUNCED, EmailStatus.BOUNCED),
        (EmailStatus.DELIVERED, EmailStatus.BOUNCED, EmailStatus.BOUNCED),
        (EmailStatus.DELIVERED, EmailStatus.COMPLAINED, EmailStatus.COMPLAINED),
        (EmailStatus.BOUNCED, EmailStatus.COMPLAINED, EmailStatus.COMPLAINED),
        # Late or repeated:
        (EmailStatus.SENT, EmailStatus.SENT, EmailStatus.SENT),
        (EmailStatus.SENT, EmailStatus.UNKNOWN, EmailStatus.SENT),
        (EmailStatus.SENT, EmailStatus.REJECTED, EmailStatus.SENT),
        (EmailStatus.DELIVERED, EmailStatus.SENT, EmailStatus.DELIVERED),
        (EmailStatus.DELIVERED, EmailStatus.DELIVERED, EmailStatus.DELIVERED),
        (EmailStatus.BOUNCED, EmailStatus.DELIVERED, EmailStatus.BOUNCED),
        (EmailStatus.BOUNCED, EmailStatus.BOUNCED, EmailStatus.BOUNCED),
        (EmailStatus.COMPLAINED, EmailStatus.DELIVERED, EmailStatus.COMPLAINED),
        (EmailStatus.COMPLAINED, EmailStatus.COMPLAINED, EmailStatus.COMPLAINED),
        (EmailStatus.REJECTED, EmailStatus.SENT, EmailStatus.REJECTED),
        (EmailStatus.SUPPRESSED, EmailStatus.SENT, EmailStatus.SUPPRESSED),
    ],
)
def test_the_providers_word_only_moves_an_email_forward(
    office: Office, before: EmailStatus, said: EmailStatus, after: EmailStatus
) -> None:
    email = office.service.send(office.order())
    office.state.emails[email.id] = replace(office.email, status=before)
    office.units.events.clear()
    office.service.provider_said(TENANT, email.id, said, "provider-1", None)
    assert office.email.status is after
    assert office.told == ([] if before is after else [f"email.{after}"])


def test_the_providers_own_send_event_settles_what_a_dead_sender_left(office: Office) -> None:
    office.provider.after = fails(Killed())
    with pytest.raises(Killed):
        office.service.send(office.order())
    office.service.provider_said(TENANT, office.email.id, EmailStatus.SENT, "provider-9", None)
    office.provider.after = lambda: None
    assert office.service.send(office.order()).status is EmailStatus.SENT
    assert (office.email.provider_message_id, len(office.provider.taken)) == ("provider-9", 1)


def test_word_of_an_email_that_is_not_the_tenants_is_not_found(office: Office) -> None:
    email = office.service.send(office.order())
    with pytest.raises(NotFound):
        office.service.provider_said(UUID(int=2), email.id, EmailStatus.BOUNCED, None, None)


@pytest.mark.parametrize(("sent", "status"), [(True, EmailStatus.SENT), (False, EmailStatus.REJECTED)])
def test_a_person_settles_an_unknown_email_once_and_sends_nothing_by_it(
    office: Office, sent: bool, status: EmailStatus
) -> None:
    office.provider.after = fails(Unavailable("no answer"))
    unknown = office.service.send(office.order())
    assert office.service.decide(TENANT, unknown.id, sent=sent).status is status
    with pytest.raises(Conflict):
        office.service.decide(TENANT, unknown.id, sent=not sent)
    assert (office.email.status, len(office.provider.taken)) == (status, 1)


@pytest.mark.parametrize("status", [each for each in EmailStatus if each is not EmailStatus.UNKNOWN])
def test_only_an_unknown_email_is_a_persons_to_settle(office: Office, status: EmailStatus) -> None:
    email = office.service.send(office.order())
    office.state.emails[email.id] = replace(office.email, status=status)
    with pytest.raises(Conflict):
        office.service.decide(TENANT, email.id, sent=False)
    assert office.email.status is status


def test_an_email_that_is_not_there_cannot_be_read_or_settled(office: Office) -> None:
    with pytest.raises(NotFound):
        office.service.get(TENANT, new_id())
    with pytest.raises(NotFound):
        office.service.decide(TENANT, new_id(), sent=True)


def test_emails_are_read_page_by_page(office: Office) -> None:
    made = [office.service.send(office.order(step=f"s{n}")).id for n in range(3)]
    first = office.service.page(TENANT, None, 2)
    assert first.next_cursor is not None
    rest = office.service.page(TENANT, UUID(first.next_cursor), 2)
    assert [each.id for each in [*first.items, *rest.items]] == made[::-1]
    assert rest.next_cursor is None
