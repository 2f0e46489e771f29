"""Notifications on PostgreSQL: folded, throttled, retried, sent once, separated by tenant."""

import threading
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from typing import Any
from uuid import UUID, uuid4

import pytest
from standardwebhooks.webhooks import Webhook

from email_sender.adapters.mail.notification_senders import MailSender, NotificationWebhookSender, payload
from email_sender.adapters.postgres.notifications import notification_units
from email_sender.adapters.web.webhook_signatures import StandardWebhooks
from email_sender.errors import Conflict, DomainError, Forbidden, InvalidInput, NotFound, Unavailable
from email_sender.kit.notification_requests import parse_notify_request
from email_sender.kit.system_clock import new_id
from email_sender.messaging.notifications import (
    MAX_ATTEMPTS,
    MAX_CHANNELS,
    MAX_PER_HOUR,
    QUIET_PERIOD,
    Channel,
    ChannelKind,
    ChannelService,
    Delivery,
    Level,
    Notification,
    NotificationLimits,
    NotificationRequest,
    NotificationService,
)
from email_sender.messaging.ports import SendRejected, SendThrottled
from tests.database import Cluster

AT = datetime(2026, 5, 4, 12, tzinfo=UTC)


class NotificationScenario:
    """The notification services on PostgreSQL, with senders that only record."""

    def __init__(self, cluster: Cluster, tenant: UUID) -> None:
        self.tenant, self.now = tenant, AT
        database = cluster.database("app", size=8)
        self.units = notification_units(database, cluster.vault(database))
        self.sent: list[tuple[str, str, int]] = []
        self.failure: DomainError | None = None
        senders = dict.fromkeys(ChannelKind, self._send)
        self.limits = NotificationLimits()
        # How long each delivery takes, and the time that has passed.
        self.delivery_seconds = self.seconds = 0.0
        self.service = NotificationService(
            self.units, senders, lambda: self.now, new_id, lambda: self.limits, lambda: self.seconds
        )
        self.channels = ChannelService(self.units, StandardWebhooks().new_secret)

    def _send(self, tenant_id: UUID, delivery: Delivery) -> None:
        assert tenant_id == self.tenant
        self.seconds += self.delivery_seconds
        if self.failure is not None:
            raise self.failure
        name = delivery.channel.name if delivery.channel else "the log"
        self.sent.append((name, delivery.notification.title, delivery.repeats))

    def add_channel(self, name: str = "ops", level: Level = Level.INFO) -> Channel:
        return self.channels.add(self.tenant, new_id(), ChannelKind.MAIL, name, level, "ops@people.example")

    def request_notification(
        self, title: str = "Disk full", level: Level = Level.WARNING, key: str = "disk", event: UUID | None = None
    ) -> None:
        self.service.notify(self.tenant, event or uuid4(), NotificationRequest(title, "text", level, key))

    def advance_and_sweep(self, elapsed: timedelta) -> int:
        self.now += elapsed
        return self.service.sweep(self.tenant)


@pytest.fixture
def scenario(cluster: Cluster) -> NotificationScenario:
    return NotificationScenario(cluster, cluster.new_tenant())


def test_the_first_notification_is_sent_at_once_and_repeats_are_folded(scenario: NotificationScenario) -> None:
    scenario.add_channel()
    for _ in range(5):
        scenario.request_notification()
    assert scenario.service.deliver(scenario.tenant) == 1
    assert scenario.advance_and_sweep(QUIET_PERIOD - timedelta(seconds=1)) == 0
    assert scenario.advance_and_sweep(timedelta(seconds=1)) == 1
    assert scenario.sent == [("ops", "Disk full", 1), ("ops", "Disk full", 4)]
    (stored_notification,) = scenario.channels.page(scenario.tenant, None, 10).items
    assert (stored_notification.count, stored_notification.told) == (5, 5)
    # Nothing happens until the next window ends. Then the notification is closed, and a request opens a new one.
    assert scenario.advance_and_sweep(QUIET_PERIOD) == 0
    scenario.request_notification()
    scenario.service.deliver(scenario.tenant)
    assert scenario.sent[-1] == ("ops", "Disk full", 1)
    assert len(scenario.channels.page(scenario.tenant, None, 10).items) == 2


def test_a_higher_level_is_sent_at_once(scenario: NotificationScenario) -> None:
    scenario.add_channel()
    scenario.request_notification(level=Level.INFO)
    scenario.request_notification(level=Level.CRITICAL, title="Disk gone")
    scenario.request_notification(level=Level.INFO)
    scenario.service.deliver(scenario.tenant)
    assert sorted(scenario.sent) == [("ops", "Disk full", 1), ("ops", "Disk gone", 1)]


def test_a_repeated_event_requests_one_notification(scenario: NotificationScenario) -> None:
    scenario.add_channel()
    event = uuid4()
    for _ in range(3):
        scenario.request_notification(event=event)
    scenario.advance_and_sweep(QUIET_PERIOD)
    assert scenario.sent == [("ops", "Disk full", 1)]


def test_concurrent_requests_make_one_notification(scenario: NotificationScenario) -> None:
    scenario.add_channel()
    threads = [threading.Thread(target=scenario.request_notification) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (stored_notification,) = scenario.channels.page(scenario.tenant, None, 10).items
    assert (stored_notification.count, stored_notification.told) == (8, 1)


def test_each_channel_gets_its_levels_and_without_a_channel_the_log_does(scenario: NotificationScenario) -> None:
    scenario.request_notification(key="before there was a channel")
    scenario.add_channel("all")
    scenario.add_channel("worst", Level.CRITICAL)
    scenario.request_notification()
    scenario.request_notification("Gone", Level.CRITICAL, "other")
    scenario.service.deliver(scenario.tenant)
    assert sorted(scenario.sent) == [
        ("all", "Disk full", 1), ("all", "Gone", 1), ("the log", "Disk full", 1), ("worst", "Gone", 1),
    ]  # fmt: skip


def test_a_failed_delivery_is_retried_with_growing_delays_and_finally_given_up(scenario: NotificationScenario) -> None:
    scenario.add_channel()
    scenario.request_notification()
    scenario.failure = Unavailable("down")
    assert scenario.service.deliver(scenario.tenant) == 0
    assert scenario.advance_and_sweep(timedelta(seconds=20)) == 0
    scenario.failure = None
    assert scenario.advance_and_sweep(timedelta(seconds=50)) == 1
    scenario.request_notification(key="b")
    scenario.failure = Unavailable("down")
    for _ in range(MAX_ATTEMPTS + 3):
        scenario.advance_and_sweep(timedelta(hours=3))
    scenario.failure = None
    assert scenario.advance_and_sweep(timedelta(days=1)) == 0


@pytest.mark.parametrize("error", [InvalidInput("x"), Forbidden("x"), Conflict("x"), NotFound("x")])
def test_a_permanent_failure_is_not_retried(scenario: NotificationScenario, error: DomainError) -> None:
    scenario.add_channel()
    scenario.request_notification()
    scenario.failure = error
    scenario.service.deliver(scenario.tenant)
    scenario.failure = None
    assert scenario.advance_and_sweep(timedelta(minutes=10)) == 0


def test_a_delivery_claimed_by_a_killed_sender_is_sent_again_under_the_same_id(scenario: NotificationScenario) -> None:
    scenario.add_channel()
    scenario.request_notification()
    with scenario.units(scenario.tenant) as unit:
        (first,) = unit.claim(scenario.now, scenario.now + timedelta(minutes=2), 10)
        unit.commit()
    assert scenario.advance_and_sweep(timedelta(minutes=1)) == 0
    with scenario.units(scenario.tenant) as unit:
        (second,) = unit.claim(scenario.now + timedelta(minutes=2), scenario.now, 10)
    assert first.id == second.id
    assert scenario.advance_and_sweep(timedelta(minutes=2)) == 1


def test_concurrent_deliverers_send_each_notification_once(scenario: NotificationScenario) -> None:
    scenario.add_channel()
    for number in range(30):
        scenario.request_notification(key=f"{number}")
    threads = [threading.Thread(target=scenario.service.deliver, args=(scenario.tenant,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(scenario.sent) == MAX_PER_HOUR == 30


def test_a_channel_is_rate_limited_and_waiting_notifications_are_not_lost(scenario: NotificationScenario) -> None:
    scenario.add_channel()
    for number in range(MAX_PER_HOUR + 15):
        scenario.request_notification(key=f"{number}")
    for _ in range(6):
        scenario.advance_and_sweep(timedelta(minutes=6))
    assert len(scenario.sent) == MAX_PER_HOUR
    for _ in range(10):
        scenario.advance_and_sweep(timedelta(minutes=6))
    assert len(scenario.sent) == MAX_PER_HOUR + 15


def test_changed_limits_apply_at_once(scenario: NotificationScenario) -> None:
    scenario.add_channel()
    scenario.limits = NotificationLimits(timedelta(minutes=1), 2)
    for number in range(3):
        scenario.request_notification(key=f"{number}")
    assert scenario.service.deliver(scenario.tenant) == 2
    scenario.limits = NotificationLimits(timedelta(minutes=1), 3)
    assert scenario.advance_and_sweep(timedelta(minutes=6)) == 1
    scenario.limits = NotificationLimits(timedelta(minutes=1), 100)
    for _ in range(2):
        scenario.request_notification(key="again")
    assert scenario.service.deliver(scenario.tenant) == 1
    assert scenario.advance_and_sweep(timedelta(seconds=59)) == 0
    assert scenario.advance_and_sweep(timedelta(seconds=1)) == 1


def test_channels_belong_to_one_tenant(cluster: Cluster, scenario: NotificationScenario) -> None:
    channel = scenario.add_channel()
    with pytest.raises(Conflict):
        scenario.add_channel()
    other_scenario = NotificationScenario(cluster, cluster.new_tenant())
    assert other_scenario.channels.list_channels(other_scenario.tenant) == []
    with pytest.raises(NotFound):
        other_scenario.channels.delete(other_scenario.tenant, channel.id)
    scenario.request_notification()
    assert other_scenario.service.deliver(other_scenario.tenant) == 0
    scenario.channels.delete(scenario.tenant, channel.id)
    assert scenario.service.deliver(scenario.tenant) == 0
    for number in range(MAX_CHANNELS):
        scenario.add_channel(f"{number}")
    with pytest.raises(Conflict, match="at most"):
        scenario.add_channel("one more")


def test_stored_notifications_are_unreadable_without_the_tenants_key(
    cluster: Cluster, scenario: NotificationScenario
) -> None:
    scenario.add_channel()
    scenario.request_notification(title="Secret merger")
    row = cluster.query("select content_enc, key_hash from notifications where tenant_id = %s", scenario.tenant)[0]
    assert b"Secret" not in bytes(row["content_enc"])
    (channel,) = cluster.query("select target_enc from notification_channels where tenant_id = %s", scenario.tenant)
    assert b"people.example" not in bytes(channel["target_enc"])


def new_notification(**changes: Any) -> Notification:
    defaults: dict[str, Any] = {
        "id": UUID(int=7), "key": b"", "level": Level.CRITICAL, "title": "Disk full", "text": "π " * 10, "count": 4,
        "told": 1, "first_at": AT, "last_at": AT, "window_ends": AT,
    }  # fmt: skip
    return Notification(**defaults | changes)


def new_delivery(kind: ChannelKind, target: str, **changes: Any) -> Delivery:
    secret = StandardWebhooks().new_secret() if kind is ChannelKind.WEBHOOK else None
    return Delivery(
        UUID(int=9), new_notification(**changes), Channel(UUID(int=8), kind, "c", Level.INFO, target, secret), 1, 1
    )


class RecordingProvider:
    def __init__(self) -> None:
        self.mails: list[bytes] = []
        self.failure: Exception | None = None

    def send(self, raw: bytes, sender: str, recipient: str) -> str:  # the port's signature
        if self.failure:
            raise self.failure
        self.mails.append(raw)
        return "id"


def test_a_repeated_mail_is_identical_and_names_its_level() -> None:
    provider = RecordingProvider()
    send = MailSender(provider, lambda _tenant: "Ops <ops@acme.example>", lambda: AT)
    mail_delivery = new_delivery(ChannelKind.MAIL, "ann@people.example", told=3)
    send(uuid4(), mail_delivery)
    send(uuid4(), mail_delivery)
    first, second = (message_from_bytes(raw, policy=default) for raw in provider.mails)
    assert first["message-id"] == second["message-id"] == f"<{mail_delivery.id}@acme.example>"
    assert first["subject"] == "[critical] Disk full"
    assert first["auto-submitted"] == "auto-generated"
    assert "Repeats since the last mail: 1" in first.get_content()


@pytest.mark.parametrize(
    ("title", "address"), [("a\r\nBcc: x@y.example", "ann@people.example"), ("t", "not an address")]
)
def test_a_mail_header_cannot_be_injected(title: str, address: str) -> None:
    provider = RecordingProvider()
    send = MailSender(provider, lambda _tenant: "ops@acme.example", lambda: AT)
    with pytest.raises(InvalidInput):
        send(uuid4(), new_delivery(ChannelKind.MAIL, address, title=title))
    assert provider.mails == []


@pytest.mark.parametrize(("fault", "code"), [(SendRejected("x"), "conflict"), (SendThrottled("x"), "rate_limited")])
def test_provider_errors_become_domain_errors(fault: Exception, code: str) -> None:
    provider = RecordingProvider()
    provider.failure = fault
    send = MailSender(provider, lambda _tenant: "ops@acme.example", lambda: AT)
    with pytest.raises(DomainError) as error:
        send(uuid4(), new_delivery(ChannelKind.MAIL, "ann@people.example"))
    assert error.value.code == code


class RecordingOutbound:
    def __init__(self, status: int) -> None:
        self.status, self.requests = status, list[Any]()

    def send_request(self, request: Any) -> dict[str, Any]:
        self.requests.append(request)
        return {"status": self.status}


def test_a_webhook_post_is_signed_by_the_standard_webhooks_specification() -> None:
    import base64

    outbound = RecordingOutbound(204)
    now = datetime.now(UTC)
    webhook_delivery = new_delivery(ChannelKind.WEBHOOK, "https://hooks.example/x")
    NotificationWebhookSender(outbound, StandardWebhooks(), lambda: now)(uuid4(), webhook_delivery)
    (request,) = outbound.requests
    body = base64.b64decode(request["body"])
    assert webhook_delivery.channel is not None
    assert webhook_delivery.channel.secret is not None
    assert Webhook(webhook_delivery.channel.secret).verify(body, request["headers"]) == payload(webhook_delivery)
    assert request["headers"]["webhook-id"] == str(webhook_delivery.id)


@pytest.mark.parametrize(
    ("status", "code"), [(500, "unavailable"), (429, "unavailable"), (404, "conflict"), (301, "conflict")]
)
def test_a_response_that_is_not_a_success_is_a_failure(status: int, code: str) -> None:
    send = NotificationWebhookSender(RecordingOutbound(status), StandardWebhooks(), lambda: AT)
    with pytest.raises(DomainError) as error:
        send(uuid4(), new_delivery(ChannelKind.WEBHOOK, "https://hooks.example/x"))
    assert error.value.code == code


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
def test_an_invalid_notify_request_is_refused_with_a_pointer(data: Any) -> None:
    with pytest.raises(InvalidInput) as error:
        parse_notify_request(data)
    assert all(problem.pointer.startswith("/data") for problem in error.value.problems)


def test_a_slow_channel_uses_up_its_tenants_time_and_the_rest_is_sent_later(scenario: NotificationScenario) -> None:
    scenario.add_channel()
    scenario.delivery_seconds = 10.0
    for number in range(5):
        scenario.request_notification(f"n{number}", key=f"k{number}")
    assert scenario.service.deliver(scenario.tenant) == 2
    assert scenario.service.deliver(scenario.tenant) == 2
    assert scenario.service.deliver(scenario.tenant) == 1
    assert sorted(title for _, title, _ in scenario.sent) == [f"n{number}" for number in range(5)]
