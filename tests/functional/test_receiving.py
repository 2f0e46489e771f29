"""Mail that comes in: whose it is, what it answers, and that it is kept once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import pytest

from email_sender.adapters.mail_text import MailTextCleaner
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.directory import Directory
from email_sender.adapters.postgres.imports import PostgresArchiveUnits
from email_sender.errors import InvalidInput
from email_sender.kit.ambient import new_id, now
from email_sender.vectors.model import Point
from email_sender.vectors.receiving import Receiving
from tests.database import Cluster


class Objects:
    """The bucket."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}

    def upload_url(self, key: str, size_bytes: int, seconds: int) -> str:
        raise AssertionError("nobody uploads here")

    def read(self, key: str, version: str | None, offset: int = 0, length: int | None = None) -> Iterable[bytes]:
        raw = self.stored[key]
        yield raw[offset : offset + (len(raw) if length is None else length)]


class Writer:
    """In the place of the engine: what was to be written, and a death before it."""

    def __init__(self) -> None:
        self.written: list[tuple[UUID, Sequence[Point]]] = []
        self.dies = False

    def write(self, tenant_id: UUID, import_id: UUID, messages: Any, stored: Any) -> None:
        if self.dies:
            raise SystemExit
        self.written.append((tenant_id, stored))


@dataclass
class Post:
    cluster: Cluster
    objects: Objects = field(default_factory=Objects)
    writer: Writer = field(default_factory=Writer)

    def __post_init__(self) -> None:
        # One connection each, as in a sandbox.
        self.app, self.platform = self.cluster.database("app", size=1), self.cluster.database("platform", size=1)
        writer: Any = self.writer
        units = PostgresArchiveUnits(self.app, self.cluster.vault(self.app), None)
        self.receiving = Receiving(Directory(self.platform), units, self.objects, MailTextCleaner(), writer, now)

    def comes(self, raw: bytes, key: str = "") -> UUID | None:
        key = key or uuid4().hex
        self.objects.stored[key] = raw
        return self.receiving.receive(key, None)

    def told(self, tenant: UUID) -> list[str]:
        rows = self.cluster.look("select type from outbox where tenant_id = %s order by sequence", tenant)
        return [row["type"] for row in rows]

    def email(self, tenant: UUID) -> tuple[UUID, str]:
        """An email that was sent: its id, and the provider's."""
        made, contact, draft, provider = new_id(), new_id(), new_id(), uuid4().hex
        self.cluster.do(
            "insert into contacts (id, tenant_id, address_hash, address_enc) values (%s, %s, %s, '')",
            contact, tenant, made.bytes,
        )  # fmt: skip
        self.cluster.do(
            "insert into drafts (id, tenant_id, run_id, step, item, contact_id, template_id, template_version, "
            "content_enc, sha256) values (%s, %s, %s, 'd', 0, %s, %s, 1, '', 'x')",
            draft, tenant, made, contact, draft,
        )  # fmt: skip
        self.cluster.do(
            "insert into emails (id, tenant_id, run_id, step, contact_id, draft_id, sha256, status, lease_until, "
            "provider_message_id) values (%s, %s, %s, 's', %s, %s, 'x', 'delivered', now(), %s)",
            made, tenant, made, contact, draft, provider,
        )  # fmt: skip
        return made, provider

    def reply_of(self, email: UUID) -> UUID | None:
        (row,) = self.cluster.look("select reply_id from emails where id = %s", email)
        found: UUID | None = row["reply_id"]
        return found


@pytest.fixture
def post(cluster: Cluster) -> Post:
    return Post(cluster)


def mail(to: str, *more: str, sender: str = "Ann <ann@people.example>", text: str = "Yes please.") -> bytes:
    headers = [
        f"From: {sender}",
        f"To: {to}",
        f"Message-ID: <{uuid4().hex}@people.example>",
        "Date: Mon, 02 Sep 2002 10:00:00 +0000",
        "Subject: Re: hello",
        *more,
    ]
    return "\r\n".join([*headers, "", text, ""]).encode()


def own_address(cluster: Cluster) -> tuple[UUID, str]:
    address = f"{uuid4().hex}@Acme.example"
    return cluster.new_tenant(f"Acme <{address}>"), address


def test_a_mail_belongs_to_who_alone_sends_from_the_address_that_it_is_to(post: Post, cluster: Cluster) -> None:
    tenant, address = own_address(cluster)
    message = post.comes(mail(f"Team <{address.upper()}>, other@else.example"))
    assert message is not None
    (row,) = cluster.look("select * from messages where tenant_id = %s", tenant)
    assert (row["id"], row["thread_id"] is not None, row["contact_id"] is not None) == (message, True, True)
    assert (post.told(tenant), len(post.writer.written)) == (["message.received"], 1)


def test_a_mail_to_an_address_of_two_tenants_or_of_none_is_nobodys(post: Post, cluster: Cluster) -> None:
    _, address = own_address(cluster)
    cluster.new_tenant(f"Also <{address}>")
    for to in (address, "nobody@else.example", "undisclosed-recipients:;"):
        assert post.comes(mail(to)) is None
    assert post.writer.written == []


@pytest.mark.parametrize("domain", ["@email.amazonses.com", "@eu-west-1.amazonses.com", ""])
@pytest.mark.parametrize("header", ["In-Reply-To:", "References: <first@x.example>"])
def test_an_answer_is_the_tenants_whose_mail_it_answers_wherever_it_is_sent(
    post: Post, cluster: Cluster, header: str, domain: str
) -> None:
    tenant, (_, elsewhere) = cluster.new_tenant(None), own_address(cluster)
    email, provider = post.email(tenant)
    message = post.comes(mail(elsewhere, f"{header} <{provider}{domain}>"))
    assert post.reply_of(email) == message
    assert post.told(tenant) == ["email.replied", "message.received"]


def test_the_first_answer_stays_the_answer(post: Post, cluster: Cluster) -> None:
    tenant = cluster.new_tenant(None)
    email, provider = post.email(tenant)
    first = post.comes(mail("x@y.example", f"In-Reply-To: <{provider}@email.amazonses.com>"))
    post.comes(mail("x@y.example", f"In-Reply-To: <{provider}@email.amazonses.com>"))
    assert post.reply_of(email) == first
    assert post.told(tenant).count("email.replied") == 1


@pytest.mark.parametrize(
    "header", ["Auto-Submitted: auto-replied", "Precedence: bulk", "X-Autoreply: yes", "Return-Path: <>"]
)
def test_what_a_machine_wrote_is_kept_and_answers_nothing(post: Post, cluster: Cluster, header: str) -> None:
    tenant = cluster.new_tenant(None)
    email, provider = post.email(tenant)
    assert post.comes(mail("x@y.example", f"In-Reply-To: <{provider}@email.amazonses.com>", header)) is not None
    assert (post.reply_of(email), post.told(tenant)) == (None, [])


def test_the_same_object_again_changes_nothing(post: Post, cluster: Cluster) -> None:
    tenant, address = own_address(cluster)
    raw = mail(address)
    first = post.comes(raw, "key")
    assert [post.comes(raw, "key"), post.comes(raw, "another key")] == [first, first]
    assert post.told(tenant) == ["message.received"]
    assert len(cluster.look("select id from messages where tenant_id = %s", tenant)) == 1


def test_killed_before_its_points_were_written_it_comes_again_and_they_are(post: Post, cluster: Cluster) -> None:
    tenant, address = own_address(cluster)
    raw = mail(address)
    post.writer.dies = True
    with pytest.raises(SystemExit):
        post.comes(raw, "key")
    assert post.told(tenant) == ["message.received"]
    post.writer.dies = False
    post.comes(raw, "key")
    assert (post.told(tenant), len(post.writer.written)) == (["message.received"], 1)


@pytest.mark.parametrize("raw", [b"", b"\0" * 1_000, b"no mail at all", "Grüße: ".encode("utf-16")])
def test_what_is_no_mail_is_refused_and_stays_where_it_lies(post: Post, raw: bytes) -> None:
    with pytest.raises(InvalidInput):
        post.comes(raw, "key")
    assert "key" in post.objects.stored


def test_a_mail_that_is_larger_than_ses_takes_is_refused(post: Post) -> None:
    with pytest.raises(InvalidInput, match="larger"):
        post.comes(mail("a@b.example") + b"x" * (41 * 1024 * 1024))


def test_an_answer_in_an_imported_mailbox_counts_too(post: Post, cluster: Cluster, app_role: Database) -> None:
    from email_sender.messaging.mail_message import parse
    from email_sender.vectors.import_model import Archived
    from email_sender.vectors.messages import note_replies

    tenant = cluster.new_tenant(None)
    email, provider = post.email(tenant)
    parsed = parse(mail("x@y.example", f"In-Reply-To: <{provider}@email.amazonses.com>"), MailTextCleaner())
    messages = [Archived(0, parsed)]
    with PostgresArchiveUnits(app_role, cluster.vault(app_role), None)(tenant) as unit:
        stored = unit.archive(new_id(), messages)
        note_replies(unit, tenant, messages, stored, now())
        unit.commit()
    assert post.reply_of(email) == stored[0].message_id
