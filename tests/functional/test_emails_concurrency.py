"""Senders at once, on PostgreSQL: the claim of an email is one sender's alone."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from uuid import UUID

import pytest

from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.messaging import PostgresMessagingUnits
from email_sender.adapters.unsubscribe import LinkKeys, SignedUnsubscribeLinks
from email_sender.errors import RateLimited
from email_sender.kit.ambient import new_id, now
from email_sender.messaging.model import Contact, Content, Draft, Email, EmailStatus
from email_sender.messaging.ports import SendThrottled
from email_sender.messaging.sending import SendOrder, SendService
from email_sender.messaging.templates import content_hash
from email_sender.security.permissions import Role
from tests.database import Cluster
from tests.fakes.messaging import FakeMailProvider

THREADS = 4


@pytest.fixture
def units(cluster: Cluster, app_role: Database) -> PostgresMessagingUnits:
    return PostgresMessagingUnits(app_role, cluster.vault(app_role), None)


@pytest.fixture
def draft(units: PostgresMessagingUnits, tenant: UUID) -> Draft:
    contact, content = Contact(new_id(), "ann@example.org"), Content("Hello", "Text\n")
    draft = Draft(new_id(), new_id(), "d", 0, contact.id, new_id(), 1, content, content_hash(contact.id, content))
    with units(tenant) as unit:
        unit.contacts.add(contact)
        unit.drafts.add(draft)
        unit.commit()
    return draft


def together[T](work: Callable[[], T]) -> list[T]:
    barrier = Barrier(THREADS)

    def one(_: int) -> T:
        barrier.wait()
        return work()

    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(one, range(THREADS)))


def claimer(units: PostgresMessagingUnits, tenant: UUID, draft: Draft) -> Callable[[], tuple[Email, bool]]:
    def claim() -> tuple[Email, bool]:
        wanted = Email(
            new_id(), draft.run_id, "send", draft.contact_id, draft.id, draft.sha256, EmailStatus.SENDING,
            datetime.now(UTC) + timedelta(seconds=20), created_at=datetime.now(UTC),
        )  # fmt: skip
        with units(tenant) as unit:
            answer = unit.emails.claim(wanted)
            unit.commit()
        return answer

    return claim


@pytest.mark.parametrize("queued", [False, True], ids=["a new email", "a queued email"])
def test_of_claims_at_once_exactly_one_is_ours_and_all_see_one_email(
    units: PostgresMessagingUnits, tenant: UUID, draft: Draft, queued: bool
) -> None:
    claim = claimer(units, tenant, draft)
    if queued:
        email, _ = claim()
        with units(tenant) as unit:
            unit.emails.settle(email.id, EmailStatus.QUEUED, now(), None, None)
            unit.commit()
    answers = together(claim)
    assert sorted(ours for _, ours in answers) == [False] * (THREADS - 1) + [True]
    assert len({email.id for email, _ in answers}) == 1


def test_a_claim_that_is_not_committed_is_free_for_the_next(
    units: PostgresMessagingUnits, tenant: UUID, draft: Draft
) -> None:
    wanted, _ = claimer(units, tenant, draft)()
    with units(tenant) as unit:
        unit.emails.settle(wanted.id, EmailStatus.QUEUED, now(), None, None)
        unit.commit()
    with units(tenant) as unit:
        assert unit.emails.claim(wanted)[1]
    with units(tenant) as unit:
        assert unit.emails.claim(wanted)[1]


def test_services_at_once_send_one_mail(units: PostgresMessagingUnits, tenant: UUID, draft: Draft) -> None:
    provider = FakeMailProvider()
    links = SignedUnsubscribeLinks(lambda: LinkKeys("k", {"k": b"secret"}), "https://mail.example")
    service = SendService(units, provider, links, "set", now, new_id, lambda _: None)
    order = SendOrder(tenant, draft.run_id, "send", draft.id, Role.ADMIN)
    answers = together(lambda: service.send(order))
    assert {(each.id, each.status) for each in answers} == {(answers[0].id, EmailStatus.SENT)}
    assert len(provider.taken) == 1


def test_services_at_once_send_one_mail_when_the_provider_throttles_the_first(
    units: PostgresMessagingUnits, tenant: UUID, draft: Draft
) -> None:
    provider, calls = FakeMailProvider(), [0]

    def throttle_first() -> None:
        calls[0] += 1
        if calls[0] == 1:
            raise SendThrottled

    provider.before = throttle_first
    links = SignedUnsubscribeLinks(lambda: LinkKeys("k", {"k": b"secret"}), "https://mail.example")
    service = SendService(units, provider, links, "set", now, new_id, lambda _: None)
    order = SendOrder(tenant, draft.run_id, "send", draft.id, Role.ADMIN)

    def send() -> str:
        try:
            return str(service.send(order).status)
        except RateLimited:
            return "throttled"

    assert sorted(together(send)) == ["sent"] * (THREADS - 1) + ["throttled"]
    assert len(provider.taken) == 1
