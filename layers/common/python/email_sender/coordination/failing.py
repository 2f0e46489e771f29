"""What consumers could not do: kept with its reason, shown without its content, and sent back when asked."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from email_sender.coordination.auditing import AuditEntry
from email_sender.coordination.events import PLATFORM_TENANT, SOURCE_PREFIX
from email_sender.errors import InvalidInput
from email_sender.paging import Page

# What has failed for good so often is not sent back with the others: somebody has to look at it and name it. Unless
# the settings say otherwise.
PARKED_AFTER = 3
MAX_REDRIVEN = 500
# Of an event's detail these name it; the rest may be a tenant's content.
_NAMING = frozenset(
    {"id", "type", "version", "tenant_id", "aggregate_id", "sequence", "occurred_at", "correlation_id", "causation_id"}
)


class FailedStatus(StrEnum):
    FAILED = "failed"
    REDRIVEN = "redriven"
    PARKED = "parked"


@dataclass(frozen=True, slots=True)
class Failure:
    """A message that came out of a dead-letter queue."""

    consumer: str
    body: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class FailedEvent:
    """`times` counts how often it failed for good, `body` is what the queue held."""

    id: UUID
    consumer: str
    body: str
    reason: str
    status: FailedStatus
    times: int
    first_seen: datetime
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which to send back: by id, or all of a consumer, or all. What is parked comes only by id."""

    ids: Sequence[UUID] = ()
    consumer: str | None = None


class FailedUnit(Protocol):
    """A transaction that holds the rows it found: two operators send each back once."""

    def find(self, wanted: Wanted, consumers: Sequence[str], limit: int) -> Sequence[FailedEvent]:
        """Of these consumers alone."""

    def redriven(self, ids: Sequence[UUID], subject: str, at: datetime) -> None: ...

    def audit(self, entry: AuditEntry) -> None: ...

    def commit(self) -> None: ...


class FailedEvents(Protocol):
    def keep(self, failures: Sequence[Failure], parked_after: int = PARKED_AFTER) -> None:
        """Each once by consumer and body; one that is there has failed once more, and is parked at `parked_after`."""

    def page(
        self, consumer: str | None, status: FailedStatus | None, cursor: str | None, limit: int
    ) -> Page[FailedEvent]: ...

    def open(self) -> AbstractContextManager[FailedUnit]: ...


class ConsumerQueues(Protocol):
    """The queues that failed messages came from."""

    def names(self) -> Sequence[str]: ...

    def send(self, consumer: str, bodies: Sequence[str]) -> Sequence[bool]:
        """Whether each was taken. Raises Unavailable where none could be sent."""


@dataclass(frozen=True, slots=True)
class Redriven:
    matched: int
    sent: Sequence[FailedEvent]


class Redrive:
    def __init__(self, failed: FailedEvents, queues: ConsumerQueues) -> None:
        self._failed, self._queues = failed, queues

    def __call__(self, wanted: Wanted, subject: str, at: datetime, *, dry_run: bool) -> Redriven:
        """Send back at most MAX_REDRIVEN. Sent first and noted then: a death in between sends one twice, loses none.

        Raises:
            InvalidInput: a consumer that has no queue.
            Unavailable: the queue did not answer; what was not noted is sent again when asked again.
        """
        if wanted.consumer is not None and wanted.consumer not in self._queues.names():
            names = ", ".join(self._queues.names())
            raise InvalidInput.at("/consumer", f"There is no such consumer. There are: {names}.")
        with self._failed.open() as unit:
            found = unit.find(wanted, self._queues.names(), MAX_REDRIVEN)
            if dry_run:
                return Redriven(len(found), [])
            sent: list[FailedEvent] = []
            for consumer in sorted({each.consumer for each in found}):
                mine = [each for each in found if each.consumer == consumer]
                taken = self._queues.send(consumer, [each.body for each in mine])
                sent += [
                    replace(each, status=FailedStatus.REDRIVEN) for each, ok in zip(mine, taken, strict=True) if ok
                ]
            if sent:
                unit.redriven([each.id for each in sent], subject, at)
                unit.audit(_told(wanted, found, sent, subject, at))
            unit.commit()
        return Redriven(len(found), sent)


def _told(
    wanted: Wanted, found: Sequence[FailedEvent], sent: Sequence[FailedEvent], subject: str, at: datetime
) -> AuditEntry:
    by_consumer = dict(sorted(Counter(each.consumer for each in sent).items()))
    which = "ids" if wanted.ids else wanted.consumer or "all"
    details = {"which": which, "matched": len(found), "sent": by_consumer, "ids": [str(each.id) for each in sent]}
    return AuditEntry(at, subject, "events.redrive", "failed events", details)


def shown(body: str) -> Mapping[str, Any]:
    """What an operator may see of a message: what names it, and of the platform's own events everything."""
    try:
        envelope = json.loads(body)
    except ValueError:
        return {"unreadable": True, "characters": len(body)}
    if not isinstance(envelope, dict):
        return {"unreadable": True, "characters": len(body)}
    known = {name: envelope[name] for name in ("id", "source", "detail-type", "time", "account") if name in envelope}
    detail = envelope.get("detail")
    if not isinstance(detail, dict):
        return known
    ours = str(envelope.get("source", "")).startswith(SOURCE_PREFIX)
    if ours and detail.get("tenant_id") == str(PLATFORM_TENANT):
        return known | {"detail": detail}
    named = {name: detail[name] for name in sorted(_NAMING & detail.keys())} if ours else {}
    return known | {"detail": named, "hidden": sorted(str(name) for name in detail.keys() - named.keys())}
