"""Notifications: asked for over the bus, passed on to a tenant's channels, repeats folded into one."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID, uuid5

from email_sender.errors import Conflict, DomainError, Forbidden, InvalidInput, NotFound
from email_sender.paging import Page

# Repeats within it are counted and told together at its end, unless the settings say otherwise.
QUIET: timedelta = timedelta(minutes=15)
MAX_CHANNELS = 20
# Of a channel, an hour, unless the settings say otherwise: more waits.
MAX_AN_HOUR = 30
MAX_ATTEMPTS = 8
_LEASE = timedelta(minutes=2)
_THROTTLED = timedelta(minutes=5)
_BATCH = 20


@dataclass(frozen=True, slots=True)
class Limits:
    """`quiet`: how long repeats are folded. `max_an_hour`: of one channel."""

    quiet: timedelta = QUIET
    max_an_hour: int = MAX_AN_HOUR


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
    """`sending` beyond its lease: whoever sent it died, and it is sent again under the same id."""

    DUE = "due"
    SENDING = "sending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Request:
    """`key` says what is the same: repeats of it are folded."""

    title: str
    text: str
    level: Level
    key: str


@dataclass(frozen=True, slots=True)
class Channel:
    """`target` is an address or a URL; `secret` signs a webhook's posts."""

    id: UUID
    kind: ChannelKind
    name: str
    min_level: Level
    target: str | None = None
    secret: str | None = None


@dataclass(frozen=True, slots=True)
class Notification:
    """`key` is the fingerprint of what says that two are the same."""

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
    """`repeats` of the notification are told with it. `channel` None: the log."""

    id: UUID
    notification: Notification
    channel: Channel | None
    repeats: int
    attempts: int


class NotificationUnit(Protocol):
    """A transaction of one tenant."""

    def channels(self) -> Sequence[Channel]: ...

    def add_channel(self, channel: Channel) -> None:
        """Raises Conflict where the name is taken."""

    def delete_channel(self, channel_id: UUID) -> bool: ...

    def asked_before(self, event_id: UUID) -> bool: ...

    def fingerprint(self, key: str) -> bytes: ...

    def open_one(self, key: bytes) -> Notification | None:
        """Held until the transaction ends; where there is none, nobody else makes one meanwhile."""

    def save(self, notification: Notification) -> None: ...

    def close(self, notification_id: UUID) -> None: ...

    def note_request(self, event_id: UUID, notification_id: UUID, at: datetime) -> None: ...

    def ended_windows(self, now: datetime) -> Sequence[Notification]:
        """Open ones whose window is over; held."""

    def add_deliveries(self, deliveries: Iterable[Delivery], at: datetime) -> None:
        """Those that are there stay as they are."""

    def claim(self, now: datetime, lease_until: datetime, limit: int) -> Sequence[Delivery]:
        """Due ones, the most urgent first, marked as being sent."""

    def delivered_since(self, channel_id: UUID, since: datetime) -> int: ...

    def settle(self, delivery_id: UUID, state: DeliveryState, at: datetime, error: str | None) -> None:
        """`at` is when it was delivered, or when it is tried next."""

    def postpone(self, delivery_id: UUID, until: datetime) -> None:
        """It was not tried."""

    def page(self, after: UUID | None, limit: int) -> Page[Notification]: ...

    def forget(self, before: datetime) -> int: ...

    def commit(self) -> None: ...


type NotificationUnits = Callable[[UUID], AbstractContextManager[NotificationUnit]]
type Send = Callable[[UUID, Delivery], None]
"""Of a tenant's delivery. Raises DomainError; of these, those that a repeat does not mend are not repeated."""

_FINAL = (InvalidInput, Forbidden, NotFound, Conflict)


class NotificationService:
    def __init__(
        self,
        units: NotificationUnits,
        senders: Mapping[ChannelKind, Send],
        now: Callable[[], datetime],
        new_id: Callable[[], UUID],
        limits: Callable[[], Limits] = Limits,
    ) -> None:
        """`limits` are asked for anew each time."""
        self._units, self._senders, self._now, self._new_id = units, senders, now, new_id
        self._limits = limits

    def ask(self, tenant_id: UUID, event_id: UUID, request: Request) -> None:
        """Tell it, or count it with the one it repeats. The same event asks once."""
        now = self._now()
        with self._units(tenant_id) as unit:
            if unit.asked_before(event_id):
                return
            key = unit.fingerprint(request.key)
            one = unit.open_one(key)
            if one is not None and request.level.rank > one.level.rank:
                # What has become worse is not a repeat.
                unit.close(one.id)
                one = None
            if one is None:
                first = (request.level, request.title, request.text)
                one = Notification(self._new_id(), key, *first, 1, 1, now, now, now + self._limits().quiet)
                unit.save(one)
                self._pass_on(unit, one, 1, now)
            else:
                unit.save(replace(one, count=one.count + 1, last_at=now))
            unit.note_request(event_id, one.id, now)
            unit.commit()

    def sweep(self, tenant_id: UUID) -> int:
        """Tell of folded repeats whose window is over, and send what is due. Returns how many were sent."""
        now = self._now()
        with self._units(tenant_id) as unit:
            for one in unit.ended_windows(now):
                repeats = one.count - one.told
                if repeats == 0:
                    unit.close(one.id)
                    continue
                told = replace(one, told=one.count, window_ends=now + self._limits().quiet)
                unit.save(told)
                self._pass_on(unit, told, repeats, now)
            unit.commit()
        return self.deliver(tenant_id)

    def deliver(self, tenant_id: UUID) -> int:
        """Claimed, sent, noted: a death between the last two sends one again, under the same id."""
        with self._units(tenant_id) as unit:
            now = self._now()
            claimed = unit.claim(now, now + _LEASE, _BATCH)
            unit.commit()
        return sum(self._send(tenant_id, each) for each in claimed)

    def _pass_on(self, unit: NotificationUnit, one: Notification, repeats: int, now: datetime) -> None:
        channels = unit.channels()
        chosen: list[Channel | None] = [each for each in channels if one.level.rank >= each.min_level.rank]
        if not channels:
            chosen = [None]
        unit.add_deliveries(
            [
                Delivery(uuid5(one.id, f"{each.id if each else 'log'}/{one.told}"), one, each, repeats, 0)
                for each in chosen
            ],
            now,
        )

    def _send(self, tenant_id: UUID, delivery: Delivery) -> int:
        channel = delivery.channel
        if channel is not None and self._postponed(tenant_id, delivery, channel):
            return 0
        try:
            self._senders[channel.kind if channel else ChannelKind.LOG](tenant_id, delivery)
        except DomainError as error:
            last = isinstance(error, _FINAL) or delivery.attempts >= MAX_ATTEMPTS
            again = self._now() + timedelta(seconds=30 * 2**delivery.attempts)
            state = DeliveryState.FAILED if last else DeliveryState.DUE
            self._settle(tenant_id, delivery, state, again, f"{error.code}: {error.detail}"[:500])
            return 0
        self._settle(tenant_id, delivery, DeliveryState.DELIVERED, self._now(), None)
        return 1

    def _postponed(self, tenant_id: UUID, delivery: Delivery, channel: Channel) -> bool:
        now = self._now()
        with self._units(tenant_id) as unit:
            if unit.delivered_since(channel.id, now - timedelta(hours=1)) < self._limits().max_an_hour:
                return False
            unit.postpone(delivery.id, now + _THROTTLED)
            unit.commit()
        return True

    def _settle(
        self, tenant_id: UUID, delivery: Delivery, state: DeliveryState, at: datetime, error: str | None
    ) -> None:
        with self._units(tenant_id) as unit:
            unit.settle(delivery.id, state, at, error)
            unit.commit()


class ChannelService:
    """A tenant's channels."""

    def __init__(self, units: NotificationUnits, new_secret: Callable[[], str]) -> None:
        self._units, self._new_secret = units, new_secret

    def add(
        self, tenant_id: UUID, channel_id: UUID, kind: ChannelKind, name: str, min_level: Level, target: str | None
    ) -> Channel:
        """A webhook's secret is made here, and shown this once. Raises Conflict: the name is taken, or too many."""
        secret = self._new_secret() if kind is ChannelKind.WEBHOOK else None
        channel = Channel(channel_id, kind, name, min_level, target, secret)
        with self._units(tenant_id) as unit:
            if len(unit.channels()) >= MAX_CHANNELS:
                raise Conflict(f"A tenant has at most {MAX_CHANNELS} channels.")
            unit.add_channel(channel)
            unit.commit()
        return channel

    def all(self, tenant_id: UUID) -> Sequence[Channel]:
        with self._units(tenant_id) as unit:
            return unit.channels()

    def delete(self, tenant_id: UUID, channel_id: UUID) -> None:
        with self._units(tenant_id) as unit:
            if not unit.delete_channel(channel_id):
                raise NotFound("There is no such channel.")
            unit.commit()

    def page(self, tenant_id: UUID, after: UUID | None, limit: int) -> Page[Notification]:
        with self._units(tenant_id) as unit:
            return unit.page(after, limit)
