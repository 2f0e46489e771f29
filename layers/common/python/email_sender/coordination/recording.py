"""What came over the bus, kept once: ours as we wrote it, others' as it came."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from email_sender.coordination.events import PLATFORM_TENANT, SOURCE_PREFIX, StoredEvent


@dataclass(frozen=True, slots=True)
class BusEvent:
    """An event in EventBridge's envelope: `id`, `account` and `time` are the bus's own word, `detail` is anybody's."""

    id: UUID
    account: str
    source: str
    type: str
    time: datetime
    detail: Any


class EventLog(Protocol):
    """Of the platform's role."""

    def announced(self, ids: Sequence[UUID]) -> Mapping[UUID, StoredEvent]:
        """What the outbox holds under these ids, as it was written with the change it tells of."""

    def recorded(self, ids: Sequence[UUID]) -> Mapping[UUID, StoredEvent]:
        """Those that are stored."""

    def tenants_of(self, sources: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], UUID]:
        """The tenant of each registered (account, source)."""

    def move(self, ids: Sequence[UUID]) -> tuple[Collection[UUID], int]:
        """Store what the outbox holds under these ids, as it was written, and take it from there, in one transaction.

        Returns which it held, and how many were new.
        """

    def store(self, events: Sequence[StoredEvent]) -> int:
        """Store what is not there. Returns how many were new."""


class Recorder:
    def __init__(self, log: EventLog) -> None:
        self._log = log

    def record(self, batch: Sequence[BusEvent]) -> int:
        """Store each event once. Returns how many were new.

        An event is ours because the outbox holds it, and not because it says so: what claims our source, or a tenant,
        without that is another system's, and belongs to whom its account and source are registered for.
        """
        claimed = {event.id: own for event in batch if (own := _claimed_id(event)) is not None}
        moved, new = self._log.move(list(claimed.values()))
        # After the move, and not with it: what another recorder moved meanwhile is recorded by now.
        recorded = self._log.recorded([own for own in claimed.values() if own not in moved])
        foreign = [event for event in batch if (own := claimed.get(event.id)) not in moved and own not in recorded]
        if not foreign:
            return new
        tenants = self._log.tenants_of([(event.account, event.source) for event in foreign])
        return new + self._log.store([_foreign(event, tenants) for event in foreign])


class Owners:
    """Whose an event is that came over the bus, by the same rule."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    def of(self, event: BusEvent) -> tuple[StoredEvent, bool]:
        """The event as we wrote it, and True; another system's as it came, and False."""
        claimed = _claimed_id(event)
        if claimed is not None:
            known = self._log.announced([claimed]).get(claimed) or self._log.recorded([claimed]).get(claimed)
            if known is not None and "data" in known.payload:
                return known, True
        return _foreign(event, self._log.tenants_of([(event.account, event.source)])), False


def _claimed_id(event: BusEvent) -> UUID | None:
    if not isinstance(event.detail, Mapping) or "tenant_id" not in event.detail:
        return None
    try:
        return UUID(str(event.detail.get("id")))
    except ValueError:
        return None


def _foreign(event: BusEvent, tenants: Mapping[tuple[str, str], UUID]) -> StoredEvent:
    tenant = tenants.get((event.account, event.source), PLATFORM_TENANT)
    if event.source.startswith(SOURCE_PREFIX):
        tenant = PLATFORM_TENANT
    payload = event.detail if isinstance(event.detail, Mapping) else {"detail": event.detail}
    return StoredEvent(event.id, event.type[:128], event.source[:256], tenant, event.time, payload)
