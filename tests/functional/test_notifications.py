"""Notifications on PostgreSQL: folded, throttled, tried again, sent once, sealed off by tenant."""

import threading
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from typing import Any
from uuid import UUID, uuid4

import pytest
from standardwebhooks.webhooks import Webhook

from email_sender.adapters.notification_senders import MailSender, WebhookSender, payload
from email_sender.adapters.postgres.notifications import notification_units
from email_sender.adapters.webhook_signatures import StandardWebhooks
from email_sender.errors import Conflict, DomainError, Forbidden, InvalidInput, NotFound, Unavailable
from email_sender.kit.ambient import new_id
from email_sender.kit.notify_request import notify_request
from email_sender.messaging.notifying import (
    MAX_AN_HOUR,
    MAX_ATTEMPTS,
    MAX_CHANNELS,
    QUIET,
    Channel,
    ChannelKind,
    ChannelService,
    Delivery,
    Level,
    Limits,
    Notification,
    NotificationService,
    Request,
)
from email_sender.messaging.ports import SendRejected, SendThrottled
from tests.database import Cluster

AT = datetime(2026, 5, 4, 12, tzinfo=UTC)


class Desk:
    """The services over PostgreSQL, with senders that only note."""

    def __init__(self, cluster: Cluster, tenant: UUID) -> None:
        self.tenant, self.now = tenant, AT
        database = cluster.database("app", size=8)
        self.units = notification_units(database, cluster.vault(database))
        self.sent: list[tuple[str, str, int]] = []
        self.fails: DomainError | None = None
        senders = dict.fromkeys(ChannelKind, self._send)
        self.limits = Limits()
        self.service = NotificationService(self.units, senders, lambda: self.now, new_id, lambda: self.limits)
        self.channels = ChannelService(self.units, StandardWebhooks().new_secret)

    def _send(self, tenant_id: UUID, delivery: Delivery) -> None:
        assert tenant_id == self.tenant
        if self.fails is not None:
            raise self.fails
        name = delivery.channel.name if delivery.channel else "the log"
        self.sent.append((name, delivery.notification.title, delivery.repeats))

    def channel(self, name: str = "ops", level: Level = Level.INFO) -> Channel:
        return self.channels.add(self.tenant, new_id(), ChannelKind.MAIL, name, level, "ops@people.example")

    def ask(
        self, title: str = "Disk full", level: Level = Level.WARNING, key: str = "disk", event: UUID | None = None
    ) -> None:
        self.service.ask(self.tenant, event or uuid4(), Request(title, "text", level, key))

    def later(self, gone: timedelta) -> int:
        self.now += gone
        return self.service.sweep(self.tenant)


@pytest.fixture
def desk(cluster: Cluster) -> Desk:
    return Desk(cluster, cluster.new_tenant())


def test_the_first_is_told_at_once_and_repeats_are_folded_into_one(desk: Desk) -> None:
    desk.channel()
    for _ in range(5):
        desk.ask()
    assert desk.service.deliver(desk.tenant) == 1
    assert desk.later(QUIET - timedelta(seconds=1)) == 0
    assert desk.later(timedelta(seconds=1)) == 1
    assert desk.sent == [("ops", "Disk full", 1), ("ops", "Disk full", 4)]
    (one,) = desk.channels.page(desk.tenant, None, 10).items
    assert (one.count, one.told) == (5, 5)
    # Quiet until the next window's end: then it is over, and the next is a new one.
    assert desk.later(QUIET) == 0
    desk.ask()
    desk.service.deliver(desk.tenant)
    assert desk.sent[-1] == ("ops", "Disk full", 1)
    assert len(desk.channels.page(desk.tenant, None, 10).items) == 2


def test_what_has_become_worse_is_told_at_once(desk: Desk) -> None:
    desk.channel()
    desk.ask(level=Level.INFO)
    desk.ask(level=Level.CRITICAL, title="Disk gone")
    desk.ask(level=Level.INFO)
    desk.service.deliver(desk.tenant)
    assert sorted(desk.sent) == [("ops", "Disk full", 1), ("ops", "Disk gone", 1)]


def test_the_same_event_asks_once_however_often_it_comes(desk: Desk) -> None:
    desk.channel()
    event = uuid4()
    for _ in range(3):
        desk.ask(event=event)
    desk.later(QUIET)
    assert desk.sent == [("ops", "Disk full", 1)]


def test_many_at_once_make_one(desk: Desk) -> None:
    desk.channel()
    threads = [threading.Thread(target=desk.ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (one,) = desk.channels.page(desk.tenant, None, 10).items
    assert (one.count, one.told) == (8, 1)


def test_each_channel_hears_from_its_level_on_and_none_is_the_log(desk: Desk) -> None:
    desk.ask(key="before there was a channel")
    desk.channel("all")
    desk.channel("worst", Level.CRITICAL)
    desk.ask()
    desk.ask("Gone", Level.CRITICAL, "other")
    desk.service.deliver(desk.tenant)
    assert sorted(desk.sent) == [
        ("all", "Disk full", 1), ("all", "Gone", 1), ("the log", "Disk full", 1), ("worst", "Gone", 1),
    ]  # fmt: skip


def test_a_failure_is_tried_again_later_and_later_and_at_last_given_up(desk: Desk) -> None:
    desk.channel()
    desk.ask()
    desk.fails = Unavailable("down")
    assert desk.service.deliver(desk.tenant) == 0
    assert desk.later(timedelta(seconds=20)) == 0
    desk.fails = None
    assert desk.later(timedelta(seconds=50)) == 1
    desk.ask(key="b")
    desk.fails = Unavailable("down")
    for _ in range(MAX_ATTEMPTS + 3):
        desk.later(timedelta(hours=3))
    desk.fails = None
    assert desk.later(timedelta(days=1)) == 0


@pytest.mark.parametrize("error", [InvalidInput("x"), Forbidden("x"), Conflict("x"), NotFound("x")])
def test_what_a_repeat_does_not_mend_is_not_repeated(desk: Desk, error: DomainError) -> None:
    desk.channel()
    desk.ask()
    desk.fails = error
    desk.service.deliver(desk.tenant)
    desk.fails = None
    assert desk.later(timedelta(minutes=10)) == 0


def test_who_dies_between_claiming_and_noting_leaves_it_to_be_sent_again_under_the_same_id(desk: Desk) -> None:
    desk.channel()
    desk.ask()
    with desk.units(desk.tenant) as unit:
        (first,) = unit.claim(desk.now, desk.now + timedelta(minutes=2), 10)
        unit.commit()
    assert desk.later(timedelta(minutes=1)) == 0
    with desk.units(desk.tenant) as unit:
        (again,) = unit.claim(desk.now + timedelta(minutes=2), desk.now, 10)
    assert first.id == again.id
    assert desk.later(timedelta(minutes=2)) == 1


def test_two_that_deliver_at_once_send_each_once(desk: Desk) -> None:
    desk.channel()
    for number in range(30):
        desk.ask(key=f"{number}")
    threads = [threading.Thread(target=desk.service.deliver, args=(desk.tenant,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(desk.sent) == MAX_AN_HOUR == 30


def test_a_channel_is_not_flooded_and_what_waits_is_not_lost(desk: Desk) -> None:
    desk.channel()
    for number in range(MAX_AN_HOUR + 15):
        desk.ask(key=f"{number}")
    for _ in range(6):
        desk.later(timedelta(minutes=6))
    assert len(desk.sent) == MAX_AN_HOUR
    for _ in range(10):
        desk.later(timedelta(minutes=6))
    assert len(desk.sent) == MAX_AN_HOUR + 15


def test_limits_hold_from_the_moment_they_are_others(desk: Desk) -> None:
    desk.channel()
    desk.limits = Limits(timedelta(minutes=1), 2)
    for number in range(3):
        desk.ask(key=f"{number}")
    assert desk.service.deliver(desk.tenant) == 2
    desk.limits = Limits(timedelta(minutes=1), 3)
    assert desk.later(timedelta(minutes=6)) == 1
    desk.limits = Limits(timedelta(minutes=1), 100)
    for _ in range(2):
        desk.ask(key="again")
    assert desk.service.deliver(desk.tenant) == 1
    assert desk.later(timedelta(seconds=59)) == 0
    assert desk.later(timedelta(seconds=1)) == 1


def test_channels_are_a_tenants_own(cluster: Cluster, desk: Desk) -> None:
    channel = desk.channel()
    with pytest.raises(Conflict):
        desk.channel()
    stranger = Desk(cluster, cluster.new_tenant())
    assert stranger.channels.all(stranger.tenant) == []
    with pytest.raises(NotFound):
        stranger.channels.delete(stranger.tenant, channel.id)
    desk.ask()
    assert stranger.service.deliver(stranger.tenant) == 0
    desk.channels.delete(desk.tenant, channel.id)
    assert desk.service.deliver(desk.tenant) == 0
    for number in range(MAX_CHANNELS):
        desk.channel(f"{number}")
    with pytest.raises(Conflict, match="at most"):
        desk.channel("one more")


def test_what_is_stored_cannot_be_read_without_the_tenants_key(cluster: Cluster, desk: Desk) -> None:
    desk.channel()
    desk.ask(title="Secret merger")
    row = cluster.look("select content_enc, key_hash from notifications where tenant_id = %s", desk.tenant)[0]
    assert b"Secret" not in bytes(row["content_enc"])
    (channel,) = cluster.look("select target_enc from notification_channels where tenant_id = %s", desk.tenant)
    assert b"people.example" not in bytes(channel["target_enc"])


def notification(**changes: Any) -> Notification:
    usual: dict[str, Any] = {
        "id": UUID(int=7), "key": b"", "level": Level.CRITICAL, "title": "Disk full", "text": "π " * 10, "count": 4,
        "told": 1, "first_at": AT, "last_at": AT, "window_ends": AT,
    }  # fmt: skip
    return Notification(**usual | changes)


def delivery(kind: ChannelKind, target: str, **changes: Any) -> Delivery:
    secret = StandardWebhooks().new_secret() if kind is ChannelKind.WEBHOOK else None
    return Delivery(
        UUID(int=9), notification(**changes), Channel(UUID(int=8), kind, "c", Level.INFO, target, secret), 1, 1
    )


class Provider:
    def __init__(self) -> None:
        self.mails: list[bytes] = []
        self.fails: Exception | None = None

    def send(self, raw: bytes, sender: str, recipient: str) -> str:  # the port's
        if self.fails:
            raise self.fails
        self.mails.append(raw)
        return "id"


def test_a_mail_says_what_it_is_and_is_the_same_whenever_it_is_sent() -> None:
    provider = Provider()
    send = MailSender(provider, lambda _tenant: "Ops <ops@acme.example>", lambda: AT)
    one = delivery(ChannelKind.MAIL, "ann@people.example", told=3)
    send(uuid4(), one)
    send(uuid4(), one)
    first, second = (message_from_bytes(raw, policy=default) for raw in provider.mails)
    assert first["message-id"] == second["message-id"] == f"<{one.id}@acme.example>"
    assert first["subject"] == "[critical] Disk full"
    assert first["auto-submitted"] == "auto-generated"
    assert "1 times more" in first.get_content()


@pytest.mark.parametrize(
    ("title", "address"), [("a\r\nBcc: x@y.example", "ann@people.example"), ("t", "not an address")]
)
def test_a_header_cannot_be_broken_out_of(title: str, address: str) -> None:
    provider = Provider()
    send = MailSender(provider, lambda _tenant: "ops@acme.example", lambda: AT)
    with pytest.raises(InvalidInput):
        send(uuid4(), delivery(ChannelKind.MAIL, address, title=title))
    assert provider.mails == []


@pytest.mark.parametrize(("fault", "told"), [(SendRejected("x"), "conflict"), (SendThrottled("x"), "rate_limited")])
def test_what_the_provider_says_is_told_in_our_words(fault: Exception, told: str) -> None:
    provider = Provider()
    provider.fails = fault
    send = MailSender(provider, lambda _tenant: "ops@acme.example", lambda: AT)
    with pytest.raises(DomainError) as caught:
        send(uuid4(), delivery(ChannelKind.MAIL, "ann@people.example"))
    assert caught.value.code == told


class Outbound:
    def __init__(self, status: int) -> None:
        self.status, self.asked = status, list[Any]()

    def ask(self, request: Any) -> dict[str, Any]:
        self.asked.append(request)
        return {"status": self.status}


def test_a_post_is_signed_so_that_any_library_of_the_standard_takes_it() -> None:
    import base64

    outbound = Outbound(204)
    now = datetime.now(UTC)
    one = delivery(ChannelKind.WEBHOOK, "https://hooks.example/x")
    WebhookSender(outbound, StandardWebhooks(), lambda: now)(uuid4(), one)
    (request,) = outbound.asked
    body = base64.b64decode(request["body"])
    assert one.channel is not None
    assert one.channel.secret is not None
    assert Webhook(one.channel.secret).verify(body, request["headers"]) == payload(one)
    assert request["headers"]["webhook-id"] == str(one.id)


@pytest.mark.parametrize(
    ("status", "code"), [(500, "unavailable"), (429, "unavailable"), (404, "conflict"), (301, "conflict")]
)
def test_an_answer_that_is_no_yes_is_a_failure(status: int, code: str) -> None:
    send = WebhookSender(Outbound(status), StandardWebhooks(), lambda: AT)
    with pytest.raises(DomainError) as caught:
        send(uuid4(), delivery(ChannelKind.WEBHOOK, "https://hooks.example/x"))
    assert caught.value.code == code


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"title": ""},
        {"title": "x" * 201},
        {"title": "a\nb"},
        {"title": 7},
        {"title": "t", "level": "loud"},
        [],
        "t",
        None,
    ],
)
def test_a_request_that_is_none_is_refused_with_a_pointer(data: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        notify_request(data)
    assert all(each.pointer.startswith("/data") for each in refused.value.problems)
