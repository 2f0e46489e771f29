"""Concurrent senders on PostgreSQL: only one sender can claim an email."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from uuid import UUID

import pytest

from email_sender.adapters.mail.unsubscribe_links import LinkKeys, SignedUnsubscribeLinks
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.messaging import PostgresMessagingUnits
from email_sender.errors import RateLimited
from email_sender.kit.system_clock import new_id, now
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


def run_concurrently[T](work: Callable[[], T]) -> list[T]:
    barrier = Barrier(THREADS)

    def run_after_barrier(_: int) -> T:
        barrier.wait()
        return work()

    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(run_after_barrier, range(THREADS)))


def build_claim(units: PostgresMessagingUnits, tenant: UUID, draft: Draft) -> Callable[[], tuple[Email, bool]]:
    def claim() -> tuple[Email, bool]:
        email = Email(
            new_id(), draft.run_id, "send", draft.contact_id, draft.id, draft.sha256, EmailStatus.SENDING,
            datetime.now(UTC) + timedelta(seconds=20), created_at=datetime.now(UTC),
        )  # fmt: skip
        with units(tenant) as unit:
            claim_result = unit.emails.claim(email)
            unit.commit()
        return claim_result

    return claim


@pytest.mark.parametrize("queued", [False, True], ids=["a new email", "a queued email"])
def test_one_of_several_concurrent_claims_wins_and_all_see_one_email(
    units: PostgresMessagingUnits, tenant: UUID, draft: Draft, queued: bool
) -> None:
    claim = build_claim(units, tenant, draft)
    if queued:
        email, _ = claim()
        with units(tenant) as unit:
            unit.emails.settle(email.id, EmailStatus.QUEUED, now(), None, None)
            unit.commit()
    claims = run_concurrently(claim)
    assert sorted(holds_claim for _, holds_claim in claims) == [False] * (THREADS - 1) + [True]
    assert len({email.id for email, _ in claims}) == 1


def test_an_uncommitted_claim_is_free_for_the_next_sender(
    units: PostgresMessagingUnits, tenant: UUID, draft: Draft
) -> None:
    claimed_email, _ = build_claim(units, tenant, draft)()
    with units(tenant) as unit:
        unit.emails.settle(claimed_email.id, EmailStatus.QUEUED, now(), None, None)
        unit.commit()
    with units(tenant) as unit:
        assert unit.emails.claim(claimed_email)[1]
    with units(tenant) as unit:
        assert unit.emails.claim(claimed_email)[1]


def test_concurrent_services_send_one_mail(units: PostgresMessagingUnits, tenant: UUID, draft: Draft) -> None:
    provider = FakeMailProvider()
    links = SignedUnsubscribeLinks(lambda: LinkKeys("k", {"k": b"secret"}), "https://mail.example")
    service = SendService(units, provider, links, "set", now, new_id, lambda _: None)
    order = SendOrder(tenant, draft.run_id, "send", draft.id, Role.ADMIN)
    emails = run_concurrently(lambda: service.send(order))
    assert {(email.id, email.status) for email in emails} == {(emails[0].id, EmailStatus.SENT)}
    assert len(provider.accepted_mails) == 1


def test_concurrent_services_send_one_mail_if_the_provider_throttles_the_first(
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

    assert sorted(run_concurrently(send)) == ["sent"] * (THREADS - 1) + ["throttled"]
    assert len(provider.accepted_mails) == 1
