"""Records events from the bus, each once: our own as the outbox holds them, other systems' as they arrived."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from email_sender.coordination.events import PLATFORM_TENANT, SOURCE_PREFIX, StoredEvent


@dataclass(frozen=True, slots=True)
class BusEvent:
    """An event in EventBridge's envelope. EventBridge sets `id`, `account` and `time`; the sender sets the rest."""

    id: UUID
    account: str
    source: str
    type: str
    time: datetime
    detail: Any


class EventLog(Protocol):
    """The outbox and the recorded events, for the database role of the platform."""

    def outbox_events(self, ids: Sequence[UUID]) -> Mapping[UUID, StoredEvent]:
        """Return the outbox's events with these ids, as they were written together with their change."""

    def recorded_events(self, ids: Sequence[UUID]) -> Mapping[UUID, StoredEvent]:
        """Return the recorded events with these ids."""

    def tenants_of(self, sources: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], UUID]:
        """Return the tenant of each registered (account, source)."""

    def move_from_outbox(self, ids: Sequence[UUID]) -> tuple[Collection[UUID], int]:
        """Move the outbox's events with these ids to the recorded events, unchanged, in one transaction.

        Returns the ids that the outbox held, and how many of the events were not recorded before.
        """

    def store(self, events: Sequence[StoredEvent]) -> int:
        """Store the events that are not stored yet. Return how many were new."""


class Recorder:
    def __init__(self, log: EventLog) -> None:
        self._log = log

    def record(self, batch: Sequence[BusEvent]) -> int:
        """Store each event once. Return how many were new.

        An event is ours because the outbox holds it, not because it claims to be. An event that claims our source or a
        tenant without being in the outbox comes from another system. It belongs to the tenant for which its account
        and source are registered.
        """
        claimed_ids = {event.id: claimed_id for event in batch if (claimed_id := _claimed_id(event)) is not None}
        moved_ids, new_count = self._log.move_from_outbox(list(claimed_ids.values()))
        # Read after the move, so that events which another recorder moved in between are found as recorded.
        recorded_events = self._log.recorded_events(
            [event_id for event_id in claimed_ids.values() if event_id not in moved_ids]
        )
        foreign_events = [
            event
            for event in batch
            if (claimed_id := claimed_ids.get(event.id)) not in moved_ids and claimed_id not in recorded_events
        ]
        if not foreign_events:
            return new_count
        tenants = self._log.tenants_of([(event.account, event.source) for event in foreign_events])
        return new_count + self._log.store([_build_foreign_event(event, tenants) for event in foreign_events])


class EventOwnership:
    """Decides to whom an event from the bus belongs, by the same rules as the recorder."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    def resolve(self, event: BusEvent) -> tuple[StoredEvent, bool]:
        """Return the event and whether it is ours: ours as the outbox holds it, another system's as it arrived."""
        claimed_id = _claimed_id(event)
        if claimed_id is not None:
            stored_event = self._log.outbox_events([claimed_id]).get(claimed_id) or self._log.recorded_events(
                [claimed_id]
            ).get(claimed_id)
            if stored_event is not None and "data" in stored_event.payload:
                return stored_event, True
        return _build_foreign_event(event, self._log.tenants_of([(event.account, event.source)])), False


def _claimed_id(event: BusEvent) -> UUID | None:
    if not isinstance(event.detail, Mapping) or "tenant_id" not in event.detail:
        return None
    try:
        return UUID(str(event.detail.get("id")))
    except ValueError:
        return None


def _build_foreign_event(event: BusEvent, tenants: Mapping[tuple[str, str], UUID]) -> StoredEvent:
    tenant = tenants.get((event.account, event.source), PLATFORM_TENANT)
    if event.source.startswith(SOURCE_PREFIX):
        tenant = PLATFORM_TENANT
    payload = event.detail if isinstance(event.detail, Mapping) else {"detail": event.detail}
    return StoredEvent(event.id, event.type[:128], event.source[:256], tenant, event.time, payload)
