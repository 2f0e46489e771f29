"""Webhooks of tenants: events are sent to URLs of theirs, signed, and again for a day if nobody answers.

A delivery is stored before it is sent. If the process dies between the request and storing its outcome, the lease of
the delivery runs out and it is sent again under the same id, by which the receiver recognises it.
"""

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID, uuid5

from email_sender.coordination.events import StoredEvent
from email_sender.errors import Conflict, DomainError, Forbidden, InvalidInput, NotFound
from email_sender.paging import Page

MAX_WEBHOOKS = 20
MAX_TYPES = 50
# How long requests are signed with the old secret too.
OVERLAP = timedelta(days=1)
KEPT = timedelta(days=30)
TEST_TYPE = "webhook.test"
# Waits between attempts; after the last, about a day after the first, a delivery has failed.
_WAITS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 30, 60, 120, 240, 360, 600))
_LEASE = timedelta(minutes=2)
_BATCH = 20
# How long one tenant's deliveries may take in a call, so that a slow receiver delays its own tenant.
_BUDGET_SECONDS = 15.0
_TYPE = re.compile(r"\*|[A-Za-z0-9][A-Za-z0-9_.-]*(\.\*)?")
_PERMANENT = (InvalidInput, Forbidden, NotFound)
_GONE = 410


@dataclass(frozen=True, slots=True)
class Webhook:
    """`types` are types of events, with `.*` at the end for all that begin so, or `*` for every event.

    `secrets` sign each request, the newest first. `stopped_reason` says why nothing is sent any more.
    """

    id: UUID
    url: str
    types: Sequence[str]
    secrets: Sequence[str]
    created_by: str
    created_at: datetime
    previous_ends: datetime | None = None
    stopped_reason: str | None = None

    def wants(self, event_type: str) -> bool:
        if self.stopped_reason is not None:
            return False
        return any(
            wanted in ("*", event_type) or (wanted.endswith(".*") and event_type.startswith(wanted[:-1]))
            for wanted in self.types
        )


class DeliveryState(StrEnum):
    DUE = "due"
    SENDING = "sending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class WebhookDelivery:
    """An event for one webhook. `body` is the JSON that is posted; lists leave it out. `status` is that of the last
    answer."""

    id: UUID
    webhook_id: UUID
    event_id: UUID
    event_type: str
    body: str
    created_at: datetime
    state: DeliveryState = DeliveryState.DUE
    attempts: int = 0
    next_attempt_at: datetime | None = None
    delivered_at: datetime | None = None
    status: int | None = None
    error: str | None = None


class WebhookUnit(Protocol):
    """One transaction of a tenant."""

    def webhooks(self) -> Sequence[Webhook]: ...

    def get(self, webhook_id: UUID) -> Webhook | None:
        """Return the webhook, locked until the transaction ends."""
        ...

    def save(self, webhook: Webhook) -> None: ...

    def delete(self, webhook_id: UUID) -> bool: ...

    def add_delivery(self, delivery: WebhookDelivery) -> bool:
        """Store the delivery, due at once. Returns False if it is stored already."""
        ...

    def claim(self, now: datetime, lease_until: datetime, limit: int) -> Sequence[WebhookDelivery]:
        """Mark due deliveries as being sent, and count the attempt. Return them with the oldest first."""
        ...

    def settle(self, delivery: WebhookDelivery) -> None:
        """Store the outcome of an attempt, unless the delivery was claimed by somebody else meanwhile."""
        ...

    def release(self, delivery_id: UUID, at: datetime) -> None:
        """Make a claimed delivery due again that was not attempted."""
        ...

    def renew(self, webhook_id: UUID, delivery_ids: Sequence[UUID] | None, at: datetime) -> int:
        """Make these ended deliveries due again; None: all that failed. Returns how many."""
        ...

    def deliveries(
        self, webhook_id: UUID, state: DeliveryState | None, before: UUID | None, limit: int
    ) -> Sequence[WebhookDelivery]:
        """Return the newest deliveries, without their bodies."""
        ...

    def delete_older_than(self, before: datetime) -> int:
        """Delete deliveries that were created before this time. Return how many."""
        ...

    def audit(self, at: datetime, action: str, object_name: str, details: Mapping[str, Any] = ...) -> None: ...

    def commit(self) -> None: ...


type WebhookUnits = Callable[[UUID], AbstractContextManager[WebhookUnit]]


class WebhookPoster(Protocol):
    def post(self, tenant_id: UUID, webhook: Webhook, delivery: WebhookDelivery) -> int:
        """Post the signed body and return the status of the answer.

        Raises:
            Forbidden: the URL leads to a private address.
            Unavailable: nobody answered in time.
        """
        ...


class WebhookService:
    """Manages a tenant's webhooks."""

    def __init__(
        self,
        units: WebhookUnits,
        new_secret: Callable[[], str],
        now: Callable[[], datetime],
        new_id: Callable[[], UUID],
    ) -> None:
        self._units, self._new_secret, self._now, self._new_id = units, new_secret, now, new_id

    def add(self, tenant_id: UUID, webhook_id: UUID, url: str, types: Sequence[str], subject: str) -> Webhook:
        """Add a webhook, or return the one with this id.

        Raises:
            InvalidInput: a type is no type of an event.
            Conflict: the tenant has too many webhooks.
        """
        check_types(types)
        webhook = Webhook(webhook_id, url, tuple(dict.fromkeys(types)), (self._new_secret(),), subject, self._now())
        with self._units(tenant_id) as unit:
            existing = unit.get(webhook_id)
            if existing is not None:
                return existing
            if len(unit.webhooks()) >= MAX_WEBHOOKS:
                raise Conflict(f"A tenant has at most {MAX_WEBHOOKS} webhooks.")
            unit.save(webhook)
            unit.audit(self._now(), "webhook.created", str(webhook_id), {"types": list(webhook.types)})
            unit.commit()
        return webhook

    def list_all(self, tenant_id: UUID) -> Sequence[Webhook]:
        with self._units(tenant_id) as unit:
            return unit.webhooks()

    def get(self, tenant_id: UUID, webhook_id: UUID) -> Webhook:
        with self._units(tenant_id) as unit:
            return _existing(unit, webhook_id)

    def change(self, tenant_id: UUID, webhook_id: UUID, url: str, types: Sequence[str]) -> Webhook:
        """Change the URL and the types. A webhook that was stopped works again."""
        check_types(types)
        with self._units(tenant_id) as unit:
            webhook = replace(_existing(unit, webhook_id), url=url, types=tuple(types), stopped_reason=None)
            unit.save(webhook)
            unit.audit(self._now(), "webhook.changed", str(webhook_id), {"types": list(types)})
            unit.commit()
        return webhook

    def delete(self, tenant_id: UUID, webhook_id: UUID) -> None:
        with self._units(tenant_id) as unit:
            if not unit.delete(webhook_id):
                raise NotFound("Webhook not found.")
            unit.audit(self._now(), "webhook.deleted", str(webhook_id))
            unit.commit()

    def rotate_secret(self, tenant_id: UUID, webhook_id: UUID) -> Webhook:
        """Give the webhook a new secret. For a day, requests are signed with the old one too."""
        now = self._now()
        with self._units(tenant_id) as unit:
            webhook = _existing(unit, webhook_id)
            # A second change within a day keeps the secret that the receiver may still use.
            is_overlapping = webhook.previous_ends is not None and now < webhook.previous_ends
            secrets = (self._new_secret(), webhook.secrets[1 if is_overlapping else 0])
            webhook = replace(webhook, secrets=secrets, previous_ends=now + OVERLAP)
            unit.save(webhook)
            unit.audit(now, "webhook.secret_changed", str(webhook_id))
            unit.commit()
        return webhook

    def add_test(self, tenant_id: UUID, webhook_id: UUID) -> UUID:
        """Store a delivery of a test event. Returns its id."""
        now, event_id = self._now(), self._new_id()
        with self._units(tenant_id) as unit:
            webhook = _existing(unit, webhook_id)
            body = _body(event_id, TEST_TYPE, now, "email_sender.webhooks", {"webhook_id": str(webhook.id)}, None)
            delivery = _delivery(webhook, event_id, TEST_TYPE, body, now)
            unit.add_delivery(delivery)
            unit.commit()
        return delivery.id

    def deliveries(
        self, tenant_id: UUID, webhook_id: UUID, state: DeliveryState | None, before: UUID | None, limit: int
    ) -> Page[WebhookDelivery]:
        with self._units(tenant_id) as unit:
            _existing(unit, webhook_id)
            rows = unit.deliveries(webhook_id, state, before, limit + 1)
        return Page(rows[:limit], str(rows[limit - 1].id) if len(rows) > limit else None)

    def replay(self, tenant_id: UUID, webhook_id: UUID, delivery_ids: Sequence[UUID] | None) -> int:
        """Send ended deliveries again; None: all that failed. Returns how many."""
        with self._units(tenant_id) as unit:
            _existing(unit, webhook_id)
            renewed = unit.renew(webhook_id, delivery_ids, self._now())
            unit.audit(self._now(), "webhook.replayed", str(webhook_id), {"deliveries": renewed})
            unit.commit()
        return renewed


class WebhookSender:
    """Stores deliveries of events, and sends those that are due."""

    def __init__(
        self,
        units: WebhookUnits,
        poster: WebhookPoster,
        now: Callable[[], datetime],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._units, self._poster, self._now, self._clock = units, poster, now, clock

    def accept(self, event: StoredEvent) -> int:
        """Store a delivery for each webhook of the event's tenant that wants it. Returns how many are new."""
        data = event.payload.get("data", event.payload)
        body = _body(event.id, event.type, event.occurred_at, event.source, data, event.correlation_id)
        with self._units(event.tenant_id) as unit:
            wanted = [webhook for webhook in unit.webhooks() if webhook.wants(event.type)]
            if not wanted:
                return 0
            new = [unit.add_delivery(_delivery(webhook, event.id, event.type, body, self._now())) for webhook in wanted]
            unit.commit()
        return sum(new)

    def deliver(self, tenant_id: UUID) -> int:
        """Send the due deliveries. Returns how many were accepted."""
        now = self._now()
        with self._units(tenant_id) as unit:
            claimed = unit.claim(now, now + _LEASE, _BATCH)
            webhooks = {webhook.id: webhook for webhook in unit.webhooks()}
            unit.commit()
        ends, accepted = self._clock() + _BUDGET_SECONDS, 0
        for number, delivery in enumerate(claimed):
            if self._clock() >= ends:
                with self._units(tenant_id) as unit:
                    for late in claimed[number:]:
                        unit.release(late.id, self._now())
                    unit.commit()
                break
            accepted += self._send(tenant_id, webhooks[delivery.webhook_id], delivery)
        return accepted

    def sweep(self, tenant_id: UUID) -> int:
        """Send what is due, and delete what is old. Returns how many deliveries were accepted."""
        accepted = self.deliver(tenant_id)
        with self._units(tenant_id) as unit:
            if unit.delete_older_than(self._now() - KEPT):
                unit.commit()
        return accepted

    def _send(self, tenant_id: UUID, webhook: Webhook, delivery: WebhookDelivery) -> bool:
        status: int | None = None
        error = None
        is_final = delivery.attempts > len(_WAITS)
        try:
            status = self._poster.post(tenant_id, webhook, delivery)
        except DomainError as failure:
            error = f"{failure.code}: {failure.detail}"[:500]
            is_final = is_final or isinstance(failure, _PERMANENT)
        if status is not None and status >= 300:
            error = f"The receiver answered with status {status}."
        now = self._now()
        if error is None:
            outcome = replace(delivery, state=DeliveryState.DELIVERED, delivered_at=now, status=status, error=None)
        elif is_final or status == _GONE:
            outcome = replace(delivery, state=DeliveryState.FAILED, status=status, error=error)
        else:
            wait = _WAITS[min(delivery.attempts, len(_WAITS)) - 1]
            outcome = replace(delivery, state=DeliveryState.DUE, next_attempt_at=now + wait, status=status, error=error)
        with self._units(tenant_id) as unit:
            # First the webhook and then its delivery, as whoever deletes a webhook locks them.
            if status == _GONE and (current := unit.get(webhook.id)) is not None:
                unit.save(replace(current, stopped_reason="The receiver answered 410: it wants no more requests."))
            unit.settle(outcome)
            unit.commit()
        return error is None


def check_types(types: Sequence[str]) -> None:
    """Raise InvalidInput unless these are types of events, or their beginnings."""
    if not types or len(types) > MAX_TYPES:
        raise InvalidInput.at("/types", f"Name 1 to {MAX_TYPES} types of events, or *.")
    for number, wanted in enumerate(types):
        if len(wanted) > 128 or not _TYPE.fullmatch(wanted):
            raise InvalidInput.at(
                f"/types/{number}", "A type is one such as email.replied, or email.* for all of a kind, or * for all."
            )


def _existing(unit: WebhookUnit, webhook_id: UUID) -> Webhook:
    webhook = unit.get(webhook_id)
    if webhook is None:
        raise NotFound("Webhook not found.")
    return webhook


def _delivery(webhook: Webhook, event_id: UUID, event_type: str, body: str, at: datetime) -> WebhookDelivery:
    return WebhookDelivery(uuid5(webhook.id, str(event_id)), webhook.id, event_id, event_type, body, at)


def _body(event_id: UUID, event_type: str, at: datetime, source: str, data: Any, correlation_id: str | None) -> str:
    """Return the payload of Standard Webhooks: type, timestamp and data, and with them what identifies the event."""
    return json.dumps(
        {
            "type": event_type,
            "timestamp": at.isoformat(),
            "data": data,
            "id": str(event_id),
            "source": source,
            "correlation_id": correlation_id,
        },
        separators=(",", ":"),
    )
