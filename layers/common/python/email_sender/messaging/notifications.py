"""Notifications: requested by events, delivered to a tenant's channels, with repeats combined."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID, uuid5

from email_sender.errors import Conflict, DomainError, Forbidden, InvalidInput, NotFound
from email_sender.paging import Page

# Repeats within this time are counted and delivered together at its end. The settings can change it.
QUIET_PERIOD: timedelta = timedelta(minutes=15)
MAX_CHANNELS = 20
# Deliveries per channel and hour; further deliveries wait. The settings can change it.
MAX_PER_HOUR = 30
MAX_ATTEMPTS = 8
_LEASE = timedelta(minutes=2)
_THROTTLE_DELAY = timedelta(minutes=5)
_BATCH_SIZE = 20
# How long one tenant's deliveries may take in a call. What is left then is due for the next one, so that a slow webhook
# delays its own tenant.
_BUDGET_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class NotificationLimits:
    """`quiet_period` is how long repeats are combined. `max_per_hour` limits the deliveries of one channel."""

    quiet_period: timedelta = QUIET_PERIOD
    max_per_hour: int = MAX_PER_HOUR


class Level(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return list(Level).index(self)


class ChannelKind(StrEnum):
    MAIL = "mail"
    WEBHOOK = "webhook"
    LOG = "log"


class DeliveryState(StrEnum):
    """A delivery that is `sending` beyond its lease has lost its sender, and is sent again under the same id."""

    DUE = "due"
    SENDING = "sending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class NotificationRequest:
    """A request to notify a tenant. Requests with the same `key` are repeats, and repeats are combined."""

    title: str
    text: str
    level: Level
    key: str


@dataclass(frozen=True, slots=True)
class Channel:
    """A destination of notifications. `target` is an address or a URL; `secret` signs the requests to a webhook."""

    id: UUID
    kind: ChannelKind
    name: str
    min_level: Level
    target: str | None = None
    secret: str | None = None


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification. `key` is the fingerprint of the key of its requests.

    `count` is the number of requests; `told` is how many of them have been passed on to the channels.
    """

    id: UUID
    key: bytes
    level: Level
    title: str
    text: str
    count: int
    told: int
    first_at: datetime
    last_at: datetime
    window_ends: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """A notification for one channel; without a channel, for the log. `repeats` is the number of repeats it reports."""

    id: UUID
    notification: Notification
    channel: Channel | None
    repeats: int
    attempts: int


class NotificationUnit(Protocol):
    """One transaction of a tenant."""

    def channels(self) -> Sequence[Channel]: ...

    def add_channel(self, channel: Channel) -> None:
        """Store the channel. Raises Conflict if the name is already used."""

    def delete_channel(self, channel_id: UUID) -> bool: ...

    def has_request(self, event_id: UUID) -> bool:
        """Return whether the request of this event was already accepted."""

    def fingerprint(self, key: str) -> bytes: ...

    def find_open_for_update(self, key: bytes) -> Notification | None:
        """Return the open notification with this key, locked until the transaction ends.

        If there is none, no other transaction can create one until this transaction ends.
        """

    def save(self, notification: Notification) -> None: ...

    def close(self, notification_id: UUID) -> None: ...

    def record_request(self, event_id: UUID, notification_id: UUID, at: datetime) -> None:
        """Store that the event's request was accepted."""

    def list_expired_for_update(self, now: datetime) -> Sequence[Notification]:
        """Return the open notifications whose window has ended, locked until the transaction ends."""

    def add_deliveries(self, deliveries: Iterable[Delivery], at: datetime) -> None:
        """Add the deliveries. Deliveries that are already stored stay unchanged."""

    def claim(self, now: datetime, lease_until: datetime, limit: int) -> Sequence[Delivery]:
        """Mark due deliveries as being sent, and return them with the most urgent first."""

    def delivered_since(self, channel_id: UUID, since: datetime) -> int: ...

    def settle(self, delivery_id: UUID, state: DeliveryState, at: datetime, error: str | None) -> None:
        """Store the outcome. `at` is the time of the delivery, or of the next attempt."""

    def postpone(self, delivery_id: UUID, until: datetime) -> None:
        """Postpone a delivery that was not attempted."""

    def page(self, after: UUID | None, limit: int) -> Page[Notification]: ...

    def delete_older_than(self, before: datetime) -> int:
        """Delete closed notifications that were last requested before this time. Return how many."""

    def commit(self) -> None: ...


type NotificationUnits = Callable[[UUID], AbstractContextManager[NotificationUnit]]
type DeliverySender = Callable[[UUID, Delivery], None]
"""Sends one delivery of a tenant. Raises DomainError; an error in `_PERMANENT_ERRORS` is not retried."""

_PERMANENT_ERRORS = (InvalidInput, Forbidden, NotFound, Conflict)


class NotificationService:
    def __init__(
        self,
        units: NotificationUnits,
        senders: Mapping[ChannelKind, DeliverySender],
        now: Callable[[], datetime],
        new_id: Callable[[], UUID],
        limits: Callable[[], NotificationLimits] = NotificationLimits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`limits` is called for each use, so that changed settings apply. `clock` is in seconds."""
        self._units, self._senders, self._now, self._new_id = units, senders, now, new_id
        self._limits, self._clock = limits, clock

    def notify(self, tenant_id: UUID, event_id: UUID, request: NotificationRequest) -> None:
        """Create a notification for the request, or count it as a repeat. Each event counts once."""
        now = self._now()
        with self._units(tenant_id) as unit:
            if unit.has_request(event_id):
                return
            key = unit.fingerprint(request.key)
            notification = unit.find_open_for_update(key)
            if notification is not None and request.level.rank > notification.level.rank:
                # A request with a higher level is not a repeat.
                unit.close(notification.id)
                notification = None
            if notification is None:
                content = (request.level, request.title, request.text)
                notification = Notification(
                    self._new_id(), key, *content, 1, 1, now, now, now + self._limits().quiet_period
                )
                unit.save(notification)
                self._create_deliveries(unit, notification, 1, now)
            else:
                unit.save(replace(notification, count=notification.count + 1, last_at=now))
            unit.record_request(event_id, notification.id, now)
            unit.commit()

    def sweep(self, tenant_id: UUID) -> int:
        """Report combined repeats whose window has ended, and send due deliveries. Return how many were sent."""
        now = self._now()
        with self._units(tenant_id) as unit:
            for notification in unit.list_expired_for_update(now):
                repeats = notification.count - notification.told
                if repeats == 0:
                    unit.close(notification.id)
                    continue
                updated_notification = replace(
                    notification, told=notification.count, window_ends=now + self._limits().quiet_period
                )
                unit.save(updated_notification)
                self._create_deliveries(unit, updated_notification, repeats, now)
            unit.commit()
        return self.deliver(tenant_id)

    def deliver(self, tenant_id: UUID) -> int:
        """Send the due deliveries. Return the number of sent deliveries.

        If the process dies between sending and storing the outcome, the delivery is sent again under the same id.
        """
        with self._units(tenant_id) as unit:
            now = self._now()
            deliveries = unit.claim(now, now + _LEASE, _BATCH_SIZE)
            unit.commit()
        ends, sent = self._clock() + _BUDGET_SECONDS, 0
        for number, delivery in enumerate(deliveries):
            if self._clock() >= ends:
                self._release(tenant_id, deliveries[number:])
                break
            sent += self._send(tenant_id, delivery)
        return sent

    def _release(self, tenant_id: UUID, deliveries: Sequence[Delivery]) -> None:
        with self._units(tenant_id) as unit:
            for delivery in deliveries:
                unit.postpone(delivery.id, self._now())
            unit.commit()

    def _create_deliveries(
        self, unit: NotificationUnit, notification: Notification, repeats: int, now: datetime
    ) -> None:
        channels = unit.channels()
        target_channels: list[Channel | None] = [
            channel for channel in channels if notification.level.rank >= channel.min_level.rank
        ]
        if not channels:
            target_channels = [None]
        unit.add_deliveries(
            [
                Delivery(
                    uuid5(notification.id, f"{channel.id if channel else 'log'}/{notification.told}"),
                    notification,
                    channel,
                    repeats,
                    0,
                )
                for channel in target_channels
            ],
            now,
        )

    def _send(self, tenant_id: UUID, delivery: Delivery) -> int:
        channel = delivery.channel
        if channel is not None and self._postpone_if_throttled(tenant_id, delivery, channel):
            return 0
        try:
            self._senders[channel.kind if channel else ChannelKind.LOG](tenant_id, delivery)
        except DomainError as error:
            is_final = isinstance(error, _PERMANENT_ERRORS) or delivery.attempts >= MAX_ATTEMPTS
            retry_at = self._now() + timedelta(seconds=30 * 2**delivery.attempts)
            state = DeliveryState.FAILED if is_final else DeliveryState.DUE
            self._settle(tenant_id, delivery, state, retry_at, f"{error.code}: {error.detail}"[:500])
            return 0
        self._settle(tenant_id, delivery, DeliveryState.DELIVERED, self._now(), None)
        return 1

    def _postpone_if_throttled(self, tenant_id: UUID, delivery: Delivery, channel: Channel) -> bool:
        now = self._now()
        with self._units(tenant_id) as unit:
            if unit.delivered_since(channel.id, now - timedelta(hours=1)) < self._limits().max_per_hour:
                return False
            unit.postpone(delivery.id, now + _THROTTLE_DELAY)
            unit.commit()
        return True

    def _settle(
        self, tenant_id: UUID, delivery: Delivery, state: DeliveryState, at: datetime, error: str | None
    ) -> None:
        with self._units(tenant_id) as unit:
            unit.settle(delivery.id, state, at, error)
            unit.commit()


class ChannelService:
    """Manages a tenant's channels."""

    def __init__(self, units: NotificationUnits, new_secret: Callable[[], str]) -> None:
        self._units, self._new_secret = units, new_secret

    def add(
        self, tenant_id: UUID, channel_id: UUID, kind: ChannelKind, name: str, min_level: Level, target: str | None
    ) -> Channel:
        """Add a channel. The secret of a webhook is created here and returned only this once.

        Raises:
            Conflict: the name is already used, or the tenant has too many channels.
        """
        secret = self._new_secret() if kind is ChannelKind.WEBHOOK else None
        channel = Channel(channel_id, kind, name, min_level, target, secret)
        with self._units(tenant_id) as unit:
            if len(unit.channels()) >= MAX_CHANNELS:
                raise Conflict(f"A tenant has at most {MAX_CHANNELS} channels.")
            unit.add_channel(channel)
            unit.commit()
        return channel

    def list_channels(self, tenant_id: UUID) -> Sequence[Channel]:
        with self._units(tenant_id) as unit:
            return unit.channels()

    def delete(self, tenant_id: UUID, channel_id: UUID) -> None:
        with self._units(tenant_id) as unit:
            if not unit.delete_channel(channel_id):
                raise NotFound("Channel not found.")
            unit.commit()

    def page(self, tenant_id: UUID, after: UUID | None, limit: int) -> Page[Notification]:
        with self._units(tenant_id) as unit:
            return unit.page(after, limit)
