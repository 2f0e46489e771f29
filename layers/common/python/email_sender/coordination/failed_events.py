"""Failed events: stores them with a reason, shows them without their content, and sends them back on request."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from email_sender.coordination.audit import AuditEntry
from email_sender.coordination.events import PLATFORM_TENANT, SOURCE_PREFIX
from email_sender.errors import InvalidInput
from email_sender.paging import Page

# An event that failed this many times is parked: it is sent back only if it is selected by its id, after somebody has
# looked at it. The settings may set another number.
PARKED_AFTER = 3
MAX_REDRIVEN = 500
# The fields of an event's detail that identify it. Other fields may contain a tenant's content.
_IDENTIFYING_FIELDS = frozenset(
    {"id", "type", "version", "tenant_id", "aggregate_id", "sequence", "occurred_at", "correlation_id", "causation_id"}
)


class FailedStatus(StrEnum):
    FAILED = "failed"
    REDRIVEN = "redriven"
    PARKED = "parked"


@dataclass(frozen=True, slots=True)
class Failure:
    """A message from a dead-letter queue."""

    consumer: str
    body: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class FailedEvent:
    """`times` is 1 plus the number of redrives after which it failed again; `body` is the queue's message."""

    id: UUID
    consumer: str
    body: str
    reason: str
    status: FailedStatus
    times: int
    first_seen: datetime
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class FailedEventSelector:
    """Selects failed events by id, all of a consumer, or all. Parked events are selected only by id."""

    ids: Sequence[UUID] = ()
    consumer: str | None = None


class FailedUnit(Protocol):
    """A transaction that locks the rows it finds, so that two concurrent redrives send each message once."""

    def find(self, selector: FailedEventSelector, consumers: Sequence[str], limit: int) -> Sequence[FailedEvent]:
        """Return and lock the selected failed events of these consumers, at most `limit`."""

    def mark_redriven(self, ids: Sequence[UUID], subject: str, at: datetime) -> None: ...

    def audit(self, entry: AuditEntry) -> None: ...

    def commit(self) -> None: ...


class FailedEvents(Protocol):
    def store(self, failures: Sequence[Failure], parked_after: int = PARKED_AFTER) -> None:
        """Store each failure once per consumer and body.

        If the failure is stored already and was redriven since, it counts as one more failure. The event is parked at
        its `parked_after`-th failure.
        """

    def page(
        self, consumer: str | None, status: FailedStatus | None, cursor: str | None, limit: int
    ) -> Page[FailedEvent]: ...

    def open(self) -> AbstractContextManager[FailedUnit]: ...


class ConsumerQueues(Protocol):
    """The consumers' queues, from which the failed messages came."""

    def names(self) -> Sequence[str]: ...

    def send(self, consumer: str, bodies: Sequence[str]) -> Sequence[bool]:
        """Send messages. Return for each whether it was accepted. Raises Unavailable if none could be sent."""


@dataclass(frozen=True, slots=True)
class RedriveResult:
    """`matched` counts the events that may be redriven; `sent` are those that were."""

    matched: int
    sent: Sequence[FailedEvent]


class Redrive:
    def __init__(self, failed: FailedEvents, queues: ConsumerQueues) -> None:
        self._failed, self._queues = failed, queues

    def __call__(self, selector: FailedEventSelector, subject: str, at: datetime, *, dry_run: bool) -> RedriveResult:
        """Send the selected events back to their queues, at most MAX_REDRIVEN.

        Events are marked after they are sent. If the process dies in between, an event is sent twice but never lost.

        Raises:
            InvalidInput: the consumer has no queue.
            Unavailable: the queue did not respond. A repeated call sends the events that were not marked.
        """
        if selector.consumer is not None and selector.consumer not in self._queues.names():
            names = ", ".join(self._queues.names())
            raise InvalidInput.at("/consumer", f"The consumer does not exist. Known consumers: {names}.")
        with self._failed.open() as unit:
            matching_events = unit.find(selector, self._queues.names(), MAX_REDRIVEN)
            if dry_run:
                return RedriveResult(len(matching_events), [])
            sent_events: list[FailedEvent] = []
            for consumer in sorted({failed_event.consumer for failed_event in matching_events}):
                consumer_events = [
                    failed_event for failed_event in matching_events if failed_event.consumer == consumer
                ]
                acceptances = self._queues.send(consumer, [failed_event.body for failed_event in consumer_events])
                sent_events += [
                    replace(failed_event, status=FailedStatus.REDRIVEN)
                    for failed_event, accepted in zip(consumer_events, acceptances, strict=True)
                    if accepted
                ]
            if sent_events:
                unit.mark_redriven([failed_event.id for failed_event in sent_events], subject, at)
                unit.audit(_build_audit_entry(selector, matching_events, sent_events, subject, at))
            unit.commit()
        return RedriveResult(len(matching_events), sent_events)


def _build_audit_entry(
    selector: FailedEventSelector,
    matching_events: Sequence[FailedEvent],
    sent_events: Sequence[FailedEvent],
    subject: str,
    at: datetime,
) -> AuditEntry:
    by_consumer = dict(sorted(Counter(failed_event.consumer for failed_event in sent_events).items()))
    selection = "ids" if selector.ids else selector.consumer or "all"
    details = {
        "which": selection,
        "matched": len(matching_events),
        "sent": by_consumer,
        "ids": [str(failed_event.id) for failed_event in sent_events],
    }
    return AuditEntry(at, subject, "events.redrive", "failed events", details)


def redact_message(body: str) -> Mapping[str, Any]:
    """Return what operators may see of a message: its identifying fields, and platform events in full."""
    try:
        envelope = json.loads(body)
    except ValueError:
        return {"unreadable": True, "characters": len(body)}
    if not isinstance(envelope, dict):
        return {"unreadable": True, "characters": len(body)}
    description = {
        name: envelope[name] for name in ("id", "source", "detail-type", "time", "account") if name in envelope
    }
    detail = envelope.get("detail")
    if not isinstance(detail, dict):
        return description
    is_ours = str(envelope.get("source", "")).startswith(SOURCE_PREFIX)
    if is_ours and detail.get("tenant_id") == str(PLATFORM_TENANT):
        return description | {"detail": detail}
    visible_detail = {name: detail[name] for name in sorted(_IDENTIFYING_FIELDS & detail.keys())} if is_ours else {}
    return description | {
        "detail": visible_detail,
        "hidden": sorted(str(name) for name in detail.keys() - visible_detail.keys()),
    }
