"""Inbound mail: which tenant it belongs to, which mail it answers, and that it is stored once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from email_sender.adapters.mail.text_cleaner import MailTextCleaner
from email_sender.adapters.postgres.archive import PostgresArchiveUnits
from email_sender.adapters.postgres.contacts import ADDRESS
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.messaging import PostgresMessagingUnits
from email_sender.adapters.postgres.tenant_directory import TenantDirectory
from email_sender.archive.answer_tags import tag_address
from email_sender.archive.inbound_mail import InboundMailService
from email_sender.archive.receipts import Receipt
from email_sender.coordination.events import EventFactory
from email_sender.errors import InvalidInput
from email_sender.kit.system_clock import new_id, now
from email_sender.messaging.outcomes import BounceLimit, OutcomeService
from email_sender.vectors.model import Point
from tests.database import Cluster

EVENTS = EventFactory("messaging", now, new_id)


class MemoryObjects:
    """The bucket of inbound mail, in memory."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}

    def upload_url(self, key: str, size_bytes: int, seconds: int) -> str:
        raise AssertionError("No test uploads here.")

    def read(self, key: str, version: str | None, offset: int = 0, length: int | None = None) -> Iterable[bytes]:
        raw = self.stored[key]
        yield raw[offset : offset + (len(raw) if length is None else length)]


class RecordingWriter:
    """Record the points to write in place of the engine, or simulate a kill before the write."""

    def __init__(self) -> None:
        self.written: list[tuple[UUID, Sequence[Point]]] = []
        self.is_killed = False

    def write(self, tenant_id: UUID, import_id: UUID, messages: Any, stored: Any) -> None:
        if self.is_killed:
            raise SystemExit
        self.written.append((tenant_id, stored))


@dataclass
class InboundMailScenario:
    cluster: Cluster
    objects: MemoryObjects = field(default_factory=MemoryObjects)
    writer: RecordingWriter = field(default_factory=RecordingWriter)

    def __post_init__(self) -> None:
        # One connection for each role, as in an execution environment.
        self.app, self.platform = self.cluster.database("app", size=1), self.cluster.database("platform", size=1)
        writer: Any = self.writer
        units = PostgresArchiveUnits(self.app, self.cluster.vault(self.app), None)
        outcomes = OutcomeService(
            PostgresMessagingUnits(self.app, self.cluster.vault(self.app), None),
            lambda: BounceLimit(3, timedelta(days=30)),
            now,
            new_id,
        )
        self.receiving = InboundMailService(
            TenantDirectory(self.platform), units, self.objects, MailTextCleaner(), writer, EVENTS, outcomes
        )

    def receive(self, raw: bytes, key: str = "", receipt: Receipt | None = None) -> UUID | None:
        message_ids = self.receive_for_all(raw, key, receipt)
        return message_ids[0] if message_ids else None

    def receive_for_all(self, raw: bytes, key: str = "", receipt: Receipt | None = None) -> Sequence[UUID]:
        key = key or uuid4().hex
        self.objects.stored[key] = raw
        return self.receiving.receive(key, None, receipt)

    def event_types(self, tenant: UUID) -> list[str]:
        rows = self.cluster.query("select type from outbox where tenant_id = %s order by sequence", tenant)
        return [row["type"] for row in rows]

    def add_sent_email(self, tenant: UUID, to: str = "ann@people.example") -> tuple[UUID, str]:
        """Store a delivered email to this contact; return its id and the provider's message id."""
        email_id, contact, draft, provider = new_id(), new_id(), new_id(), uuid4().hex
        keys = self.cluster.vault(self.app).keys_for(tenant)
        self.cluster.execute(
            "insert into contacts (id, tenant_id, address_hash, address_enc) values (%s, %s, %s, %s) "
            "on conflict do nothing",
            contact, tenant, keys.fingerprint(to), keys.encrypt(to, ADDRESS),
        )  # fmt: skip
        (row,) = self.cluster.query("select id from contacts where address_hash = %s", keys.fingerprint(to))
        contact = row["id"]
        self.cluster.execute(
            "insert into drafts (id, tenant_id, run_id, step, item, contact_id, template_id, template_version, "
            "content_enc, sha256) values (%s, %s, %s, 'd', 0, %s, %s, 1, '', 'x')",
            draft, tenant, email_id, contact, draft,
        )  # fmt: skip
        self.cluster.execute(
            "insert into emails (id, tenant_id, run_id, step, contact_id, draft_id, sha256, status, lease_until, "
            "provider_message_id) values (%s, %s, %s, 's', %s, %s, 'x', 'delivered', now(), %s)",
            email_id, tenant, email_id, contact, draft, provider,
        )  # fmt: skip
        return email_id, provider

    def find_reply_id(self, email: UUID) -> UUID | None:
        (row,) = self.cluster.query("select reply_id from emails where id = %s", email)
        reply_id: UUID | None = row["reply_id"]
        return reply_id


@pytest.fixture
def scenario(cluster: Cluster) -> InboundMailScenario:
    return InboundMailScenario(cluster)


def build_mail(
    to: str, *extra_headers: str, sender: str = "Ann <ann@people.example>", text: str = "Yes please."
) -> bytes:
    headers = [
        f"From: {sender}",
        f"To: {to}",
        f"Message-ID: <{uuid4().hex}@people.example>",
        "Date: Mon, 02 Sep 2002 10:00:00 +0000",
        "Subject: Re: hello",
        *extra_headers,
    ]
    return "\r\n".join([*headers, "", text, ""]).encode()


def new_tenant_with_address(cluster: Cluster) -> tuple[UUID, str]:
    address = f"{uuid4().hex}@{uuid4().hex}.Acme.example"
    return cluster.new_tenant(f"Acme <{address}>"), address


def test_a_mail_belongs_to_the_only_tenant_with_the_recipient_address(
    scenario: InboundMailScenario, cluster: Cluster
) -> None:
    tenant, address = new_tenant_with_address(cluster)
    message = scenario.receive(build_mail(f"Team <{address.upper()}>, other@else.example"))
    assert message is not None
    (row,) = cluster.query("select * from messages where tenant_id = %s", tenant)
    assert (row["id"], row["thread_id"] is not None, row["contact_id"] is not None) == (message, True, True)
    assert (scenario.event_types(tenant), len(scenario.writer.written)) == (["message.received"], 1)


def test_a_mail_to_an_address_of_two_tenants_or_of_none_is_ignored(
    scenario: InboundMailScenario, cluster: Cluster
) -> None:
    _, address = new_tenant_with_address(cluster)
    cluster.new_tenant(f"Also <{address}>")
    for to in (address, "nobody@else.example", "undisclosed-recipients:;"):
        assert scenario.receive(build_mail(to)) is None
    assert scenario.writer.written == []
    rows = cluster.query("select reason from unclaimed_mail where %s = any(recipients)", address.lower())
    assert [row["reason"] for row in rows] == [f"Several tenants have the recipient {address.lower()} or its domain."]


@pytest.mark.parametrize("domain", ["@email.amazonses.com", "@eu-west-1.amazonses.com", ""])
@pytest.mark.parametrize("header", ["In-Reply-To:", "References: <first@x.example>"])
def test_a_reply_belongs_to_the_tenant_whose_mail_it_answers(
    scenario: InboundMailScenario, cluster: Cluster, header: str, domain: str
) -> None:
    tenant = cluster.new_tenant(None)
    email, provider = scenario.add_sent_email(tenant)
    message = scenario.receive(build_mail("an-alias@else.example", f"{header} <{provider}{domain}>"))
    assert scenario.find_reply_id(email) == message
    assert scenario.event_types(tenant) == ["email.replied", "message.received"]


def test_a_forwarded_mail_belongs_to_the_tenant_to_which_it_was_sent(
    scenario: InboundMailScenario, cluster: Cluster
) -> None:
    sending_tenant, (other_tenant, other_address) = cluster.new_tenant(None), new_tenant_with_address(cluster)
    email, provider = scenario.add_sent_email(sending_tenant)
    assert scenario.receive(build_mail(other_address, f"References: <{provider}@email.amazonses.com>")) is not None
    assert scenario.find_reply_id(email) is None
    assert scenario.event_types(sending_tenant) == []
    assert scenario.event_types(other_tenant) == ["message.received"]


def test_a_reply_to_an_address_of_two_tenants_belongs_to_the_one_that_sent_the_mail(
    scenario: InboundMailScenario, cluster: Cluster
) -> None:
    tenant, address = new_tenant_with_address(cluster)
    cluster.new_tenant(f"Also <{address}>")
    email, provider = scenario.add_sent_email(tenant)
    message = scenario.receive(build_mail(address, f"In-Reply-To: <{provider}@email.amazonses.com>"))
    assert message is not None
    assert scenario.find_reply_id(email) == message


def test_a_tag_in_the_recipient_address_does_not_change_its_tenant(
    scenario: InboundMailScenario, cluster: Cluster
) -> None:
    tenant, address = new_tenant_with_address(cluster)
    local_part, _, domain = address.partition("@")
    assert scenario.receive(build_mail(f"{local_part}+news@{domain}")) is not None
    assert scenario.event_types(tenant) == ["message.received"]


def test_the_first_reply_is_kept(scenario: InboundMailScenario, cluster: Cluster) -> None:
    tenant = cluster.new_tenant(None)
    email, provider = scenario.add_sent_email(tenant)
    first = scenario.receive(build_mail("x@y.example", f"In-Reply-To: <{provider}@email.amazonses.com>"))
    scenario.receive(build_mail("x@y.example", f"In-Reply-To: <{provider}@email.amazonses.com>"))
    assert scenario.find_reply_id(email) == first
    assert scenario.event_types(tenant).count("email.replied") == 1


@pytest.mark.parametrize(
    "header", ["Auto-Submitted: auto-replied", "Precedence: bulk", "X-Autoreply: yes", "Return-Path: <>"]
)
def test_an_automatic_reply_is_stored_and_does_not_count_as_a_reply(
    scenario: InboundMailScenario, cluster: Cluster, header: str
) -> None:
    tenant = cluster.new_tenant(None)
    email, provider = scenario.add_sent_email(tenant)
    assert (
        scenario.receive(build_mail("x@y.example", f"In-Reply-To: <{provider}@email.amazonses.com>", header))
        is not None
    )
    assert (scenario.find_reply_id(email), scenario.event_types(tenant)) == (None, [])


def test_receiving_the_same_object_again_changes_nothing(scenario: InboundMailScenario, cluster: Cluster) -> None:
    tenant, address = new_tenant_with_address(cluster)
    raw = build_mail(address)
    first = scenario.receive(raw, "key")
    assert [scenario.receive(raw, "key"), scenario.receive(raw, "another key")] == [first, first]
    assert scenario.event_types(tenant) == ["message.received"]
    assert len(cluster.query("select id from messages where tenant_id = %s", tenant)) == 1


def test_a_receiver_killed_before_writing_points_writes_them_on_the_next_attempt(
    scenario: InboundMailScenario, cluster: Cluster
) -> None:
    tenant, address = new_tenant_with_address(cluster)
    raw = build_mail(address)
    scenario.writer.is_killed = True
    with pytest.raises(SystemExit):
        scenario.receive(raw, "key")
    assert scenario.event_types(tenant) == ["message.received"]
    scenario.writer.is_killed = False
    scenario.receive(raw, "key")
    assert (scenario.event_types(tenant), len(scenario.writer.written)) == (["message.received"], 1)


@pytest.mark.parametrize("raw", [b"", b"\0" * 1_000, b"no mail at all", "Grüße: ".encode("utf-16")])
def test_an_object_that_is_not_a_mail_is_refused_and_kept(scenario: InboundMailScenario, raw: bytes) -> None:
    with pytest.raises(InvalidInput):
        scenario.receive(raw, "key")
    assert "key" in scenario.objects.stored


def test_a_mail_over_the_ses_limit_is_refused(scenario: InboundMailScenario) -> None:
    with pytest.raises(InvalidInput, match="larger"):
        scenario.receive(build_mail("a@b.example") + b"x" * (41 * 1024 * 1024))


def test_a_reply_in_an_imported_mailbox_counts_too(
    scenario: InboundMailScenario, cluster: Cluster, app_role: Database
) -> None:
    from email_sender.archive.message_index import record_replies
    from email_sender.archive.message_parser import parse
    from email_sender.vectors.imports.model import IncomingMessage

    tenant = cluster.new_tenant(None)
    email, provider = scenario.add_sent_email(tenant)
    parsed_mail = parse(build_mail("x@y.example", f"In-Reply-To: <{provider}@email.amazonses.com>"), MailTextCleaner())
    messages = [IncomingMessage(0, parsed_mail, parsed_mail.author)]
    with PostgresArchiveUnits(app_role, cluster.vault(app_role), None)(tenant) as unit:
        stored_messages = unit.archive(new_id(), messages)
        record_replies(unit, tenant, messages, stored_messages, EVENTS)
        unit.commit()
    assert scenario.find_reply_id(email) == stored_messages[0].message_id


# ---- Recipients, authors and answers as mail really comes ------------------------------------------------------------


def receipt_for(*recipients: str, **verdicts: str) -> Receipt:
    return Receipt(recipients, verdicts)


def test_the_recipients_of_the_envelope_decide_not_those_of_the_headers(
    scenario: InboundMailScenario, cluster: Cluster
) -> None:
    """A blind copy, an alias or a forwarding rule: the headers name somebody else."""
    (tenant, address), (other_tenant, other_address) = (
        new_tenant_with_address(cluster),
        new_tenant_with_address(cluster),
    )
    assert scenario.receive(build_mail(other_address), receipt=receipt_for(address)) is not None
    assert (scenario.event_types(tenant), scenario.event_types(other_tenant)) == (["message.received"], [])


def test_a_mail_to_two_tenants_is_delivered_to_both(scenario: InboundMailScenario, cluster: Cluster) -> None:
    tenants = [new_tenant_with_address(cluster) for _ in range(2)]
    recipients = [address for _, address in tenants]
    assert len(scenario.receive_for_all(build_mail(", ".join(recipients)))) == 2
    assert [scenario.event_types(tenant) for tenant, _ in tenants] == [["message.received"]] * 2


def test_another_address_of_the_domain_and_an_alias_belong_to_the_tenant(
    scenario: InboundMailScenario, cluster: Cluster
) -> None:
    tenant, address = new_tenant_with_address(cluster)
    alias = f"{uuid4().hex}@other.example"
    cluster.execute("update tenants set aliases = %s where id = %s", [alias], tenant)
    domain = address.partition("@")[2]
    for recipient in (f"sales@{domain}", alias.upper()):
        assert scenario.receive(build_mail("x@y.example"), receipt=receipt_for(recipient)) is not None
    assert scenario.event_types(tenant) == ["message.received"] * 2


def test_a_domain_of_the_recipient_beats_the_email_that_the_mail_quotes(
    scenario: InboundMailScenario, cluster: Cluster
) -> None:
    sending_tenant, (tenant, address) = cluster.new_tenant(None), new_tenant_with_address(cluster)
    _, provider = scenario.add_sent_email(sending_tenant)
    mail = build_mail(f"sales@{address.partition('@')[2]}", f"References: <{provider}@email.amazonses.com>")
    assert scenario.receive(mail) is not None
    assert (scenario.event_types(sending_tenant), scenario.event_types(tenant)) == ([], ["message.received"])


@pytest.mark.parametrize("verdicts", [{"spam": "fail"}, {"virus": "fail"}, {"dmarc": "fail", "spf": "pass"}])
def test_a_mail_that_fails_a_check_is_kept_and_starts_nothing(
    scenario: InboundMailScenario, cluster: Cluster, verdicts: dict[str, str]
) -> None:
    tenant = cluster.new_tenant(None)
    email, provider = scenario.add_sent_email(tenant)
    mail = build_mail("x@y.example", f"In-Reply-To: <{provider}@email.amazonses.com>")
    assert scenario.receive(mail, receipt=receipt_for("x@y.example", **verdicts)) is not None
    (row,) = cluster.query("select verdict, contact_id from messages where tenant_id = %s", tenant)
    assert (row["verdict"], row["contact_id"]) == (next(iter(verdicts)), None)
    assert (scenario.find_reply_id(email), scenario.event_types(tenant)) == (None, [])


def test_spf_and_dkim_alone_fail_nothing_since_forwarding_breaks_them(
    scenario: InboundMailScenario, cluster: Cluster
) -> None:
    tenant, address = new_tenant_with_address(cluster)
    receipt = receipt_for(address, spf="fail", dkim="fail", dmarc="gray", spam="pass", virus="pass")
    assert scenario.receive(build_mail(address), receipt=receipt) is not None
    assert scenario.event_types(tenant) == ["message.received"]


@pytest.mark.parametrize(
    ("sender", "headers"),
    [
        ("Eve <eve@else.example>", ()),
        ("Acme <hello@acme.example>", ("X-Gmail-Labels: Sent",)),
        ("Ann <ann@people.example>", ("Auto-Submitted: auto-replied",)),
        ("Ann <ann@people.example>", ("Content-Type: text/calendar; method=REPLY",)),
        ("Ann <ann@people.example>", ("Content-Type: multipart/report; report-type=disposition-notification",)),
        ("MAILER-DAEMON@people.example", ()),
    ],
)
def test_only_the_contacts_own_words_answer_an_email(
    scenario: InboundMailScenario, cluster: Cluster, sender: str, headers: tuple[str, ...]
) -> None:
    tenant = cluster.new_tenant(None)
    email, provider = scenario.add_sent_email(tenant)
    mail = build_mail("x@y.example", f"In-Reply-To: <{provider}@email.amazonses.com>", *headers, sender=sender)
    assert scenario.receive(mail) is not None
    assert scenario.find_reply_id(email) is None
    assert "email.replied" not in scenario.event_types(tenant)


def test_the_answer_of_somebody_else_is_recorded_beside_the_email(
    scenario: InboundMailScenario, cluster: Cluster
) -> None:
    tenant = cluster.new_tenant(None)
    email, provider = scenario.add_sent_email(tenant)
    header = f"In-Reply-To: <{provider}@email.amazonses.com>"
    message = scenario.receive(build_mail("x@y.example", header, sender="Bob <bob@people.example>"))
    (row,) = cluster.query("select reply_id, other_reply_id from emails where id = %s", email)
    assert (row["reply_id"], row["other_reply_id"]) == (None, message)


@pytest.mark.parametrize(
    "mail_of",
    [
        lambda header: build_mail("x@y.example", header, text="I will be out of the office until Monday."),
        lambda header: build_mail("x@y.example", header).replace(b"Subject: Re: hello", b"Subject: On vacation"),
    ],
)
def test_an_answer_that_a_program_may_have_written_is_held(
    scenario: InboundMailScenario, cluster: Cluster, mail_of: Any
) -> None:
    """vacation and formail mark nothing: the same text as before, or a responder's subject, raises the doubt."""
    tenant = cluster.new_tenant(None)
    _, earlier = scenario.add_sent_email(tenant)
    scenario.receive(mail_of(f"In-Reply-To: <{earlier}@email.amazonses.com>"))
    email, provider = scenario.add_sent_email(tenant)
    message = scenario.receive(mail_of(f"In-Reply-To: <{provider}@email.amazonses.com>"))
    (row,) = cluster.query("select kind, answers_email_id from messages where id = %s", message)
    assert (row["kind"], row["answers_email_id"]) == ("uncertain", email)
    assert scenario.find_reply_id(email) is None


@pytest.mark.parametrize(("seconds", "kind"), [(0, "uncertain"), (5, "uncertain"), (6, "person"), (-2, "person")])
def test_an_answer_that_came_before_anybody_could_read_the_email_is_held(
    scenario: InboundMailScenario, cluster: Cluster, seconds: int, kind: str
) -> None:
    tenant = cluster.new_tenant(None)
    email, provider = scenario.add_sent_email(tenant)
    sent_at = datetime(2002, 9, 2, 10, 0, tzinfo=UTC) - timedelta(seconds=seconds)
    # The database knows fractions of a second, and a mail's date does not.
    cluster.execute("update emails set sent_at = %s where id = %s", sent_at + timedelta(milliseconds=400), email)
    message = scenario.receive(build_mail("x@y.example", f"In-Reply-To: <{provider}@email.amazonses.com>"))
    (row,) = cluster.query("select kind, answers_email_id from messages where id = %s", message)
    assert (row["kind"], row["answers_email_id"]) == (kind, email)
    assert (scenario.find_reply_id(email) is None) is (kind == "uncertain")


def test_a_fresh_mail_of_the_contact_ends_its_open_waits(scenario: InboundMailScenario, cluster: Cluster) -> None:
    tenant, address = new_tenant_with_address(cluster)
    email, _ = scenario.add_sent_email(tenant)
    forgotten, _ = scenario.add_sent_email(tenant)
    workflow, run = new_id(), new_id()
    cluster.execute(
        "insert into workflows (id, tenant_id, name, definition) values (%s, %s, 'w', '{}')", workflow, tenant
    )
    cluster.execute(
        "insert into runs (id, tenant_id, workflow_id, version, status, inputs, started_by, role) "
        "values (%s, %s, %s, 1, 'waiting', '{}', 'ann', 'admin')",
        run, tenant, workflow,
    )  # fmt: skip
    cluster.execute(
        "insert into task_waits (tenant_id, run_id, step, item, kind, subject, task_token, asked_at, expires_at) "
        "values (%s, %s, 's', 0, 'reply', %s, 't', now(), now())",
        tenant, run, email,
    )  # fmt: skip
    message = scenario.receive(build_mail(address))
    assert (scenario.find_reply_id(email), scenario.find_reply_id(forgotten)) == (message, None)


def test_an_answer_to_the_tagged_address_is_matched_without_references(
    scenario: InboundMailScenario, cluster: Cluster
) -> None:
    tenant, address = new_tenant_with_address(cluster)
    email, _ = scenario.add_sent_email(tenant)
    message = scenario.receive(build_mail(tag_address(f"hi@{address.partition('@')[2]}", email)))
    assert message is not None
    assert scenario.find_reply_id(email) == message


def test_a_second_message_with_the_same_id_does_not_replace_the_first(
    scenario: InboundMailScenario, cluster: Cluster
) -> None:
    tenant, address = new_tenant_with_address(cluster)
    raw = build_mail(address, text="I like the first offer.")
    forged = raw.replace(b"Ann <ann@people.example>", b"Eve <eve@else.example>").replace(b"first", b"worst")
    first, second = scenario.receive(raw), scenario.receive(forged)
    assert first != second
    contacts = cluster.query("select contact_id from messages where tenant_id = %s", tenant)
    assert len({row["contact_id"] for row in contacts}) == 2


def test_a_bounce_that_arrives_as_mail_ends_its_email_and_suppresses_the_address(
    scenario: InboundMailScenario, cluster: Cluster
) -> None:
    tenant, address = new_tenant_with_address(cluster)
    email, provider = scenario.add_sent_email(tenant)
    bounce = (
        f"From: MAILER-DAEMON@mx.example\r\nTo: {address}\r\nSubject: failure notice\r\n"
        f"Message-ID: <b@mx.example>\r\n\r\n"
        f"<ann@people.example>:\r\n550 5.1.1 no such user\r\n\r\n"
        f"--- Below this line is a copy of the message.\r\n\r\n"
        f"Message-ID: <{provider}@email.amazonses.com>\r\nTo: ann@people.example\r\n\r\nHello.\r\n"
    ).encode()
    scenario.receive(bounce)
    (row,) = cluster.query("select status, bounce_type, error from emails where id = %s", email)
    assert (row["status"], row["bounce_type"]) == ("bounced", "permanent")
    assert "5.1.1" in row["error"]
    assert len(cluster.query("select * from suppressions where tenant_id = %s", tenant)) == 1
    assert scenario.event_types(tenant) == ["email.bounced"]


@pytest.mark.parametrize(("feedback", "status"), [("abuse", "complained"), ("not-spam", "delivered")])
def test_a_complaint_that_arrives_as_mail_suppresses_the_contact(
    scenario: InboundMailScenario, cluster: Cluster, feedback: str, status: str
) -> None:
    """The provider blacked out the recipient: the Message-ID alone shows which email it was."""
    tenant, address = new_tenant_with_address(cluster)
    email, provider = scenario.add_sent_email(tenant)
    complaint = (
        f"From: abuse@isp.example\r\nTo: {address}\r\nSubject: FW: hello\r\nMIME-Version: 1.0\r\n"
        f'Content-Type: multipart/report; report-type=feedback-report; boundary="b"\r\n\r\n'
        f"--b\r\nContent-Type: text/plain\r\n\r\nA report.\r\n"
        f"--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: {feedback}\r\nVersion: 1\r\n\r\n"
        f"--b\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: <{provider}@email.amazonses.com>\r\n"
        f"To: redacted@isp.example\r\nSubject: hello\r\n\r\nHello.\r\n--b--\r\n"
    ).encode()
    for _ in range(2):
        scenario.receive(complaint)
    assert cluster.query("select status from emails where id = %s", email) == [{"status": status}]
    suppressed = cluster.query("select reason from suppressions where tenant_id = %s", tenant)
    assert suppressed == ([{"reason": "complained"}] if status == "complained" else [])
