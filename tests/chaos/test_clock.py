"""The clocks of functions disagree and jump while they send the same emails: each goes out at most once.

A sender's claim has a lease. A clock that is a day ahead sees it expired while the sender still works.
"""

import logging
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID

from email_sender.adapters.mail.unsubscribe_links import LinkKeys, SignedUnsubscribeLinks
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.messaging import PostgresMessagingUnits
from email_sender.errors import DomainError
from email_sender.kit.system_clock import new_id
from email_sender.messaging.model import Contact, Content, Draft, EmailStatus
from email_sender.messaging.sending import SendOrder, SendService
from email_sender.messaging.templates import content_hash
from email_sender.security.permissions import Role
from tests.database import Cluster
from tests.fakes.messaging import FakeMailProvider

DRAFTS, SENDERS, ATTEMPTS = 20, 6, 4
JUMPS = (timedelta(days=-1), timedelta(seconds=-90), timedelta(), timedelta(seconds=90), timedelta(days=1))


class JumpingClock:
    """A clock that is somewhere else at each reading."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self._random.choice(JUMPS)


def test_jumping_clocks_never_send_an_email_twice(cluster: Cluster, app_role: Database, tenant: UUID) -> None:
    units = PostgresMessagingUnits(app_role, cluster.vault(app_role), None)
    drafts = []
    for number in range(DRAFTS):
        contact, content = Contact(new_id(), f"person{number}@example.org"), Content("Hello", "Text\n")
        draft = Draft(new_id(), new_id(), "d", 0, contact.id, new_id(), 1, content, content_hash(contact.id, content))
        with units(tenant) as unit:
            unit.contacts.add(contact)
            unit.drafts.add(draft)
            unit.commit()
        drafts.append(draft)
    provider = FakeMailProvider()
    # The provider takes its time, so that leases are looked at meanwhile.
    provider.before = lambda: time.sleep(0.01)
    links = SignedUnsubscribeLinks(lambda: LinkKeys("k", {"k": b"secret"}), "https://mail.example")
    barrier, errors = threading.Barrier(SENDERS), Counter[str]()

    def send_all(seed: int) -> None:
        service = SendService(units, provider, links, "set", JumpingClock(seed), new_id, lambda _: None)
        barrier.wait()
        for _ in range(ATTEMPTS):
            for draft in drafts:
                try:
                    service.send(SendOrder(tenant, draft.run_id, "send", draft.id, Role.ADMIN))
                except DomainError as error:
                    errors[type(error).__name__] += 1

    with ThreadPoolExecutor(SENDERS) as threads:
        list(threads.map(send_all, range(SENDERS)))
    mails = Counter(mail.recipient for mail in provider.accepted_mails)
    statuses = Counter(row["status"] for row in cluster.query("select status from emails where tenant_id = %s", tenant))
    logging.getLogger(__name__).info(
        f"jumping clocks: {DRAFTS} emails, {SENDERS * ATTEMPTS * DRAFTS} attempts, {len(provider.accepted_mails)} "
        f"sent, {dict(statuses)}, errors {dict(errors)}"
    )
    assert max(mails.values()) == 1
    assert len(mails) == DRAFTS
    # An email whose lease seemed to be over may be `unknown`, which a person or SES's event settles. It is never new.
    assert statuses.keys() <= {EmailStatus.SENT, EmailStatus.UNKNOWN}
    assert sum(statuses.values()) == DRAFTS
