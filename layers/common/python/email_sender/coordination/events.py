"""Events, the event bus, and stored events. Contract: docs/reference/events.md."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from email_sender.clock import Clock, IdFactory

# The tenant of platform events and of events from unregistered sources. No customer has this id.
PLATFORM_TENANT = UUID("00000000-0000-7000-8000-000000000000")
SOURCE_PREFIX = "email_sender."
# Limit of an event's detail, as JSON in UTF-8. The bus accepts 256 KB with the envelope; larger events are not written.
MAX_EVENT_BYTES = 240_000


@dataclass(frozen=True, slots=True)
class Event:
    """A fact that the platform or a tenant's application publishes.

    `area` is the part of the platform that publishes the event ("vectors"). `aggregate_id` names the object that the
    event is about; `sequence` orders the events of one object. `correlation_id` is the same for everything that one
    request or run caused; `causation_id` is the event or request that directly caused this event. `priority` is 0
    (highest) to 3.
    """

    id: UUID
    type: str
    area: str
    tenant_id: UUID
    aggregate_id: str
    occurred_at: datetime
    data: Mapping[str, Any] = field(default_factory=dict)
    correlation_id: str | None = None
    causation_id: str | None = None
    priority: int = 2
    # Set if a tenant's own application publishes the event.
    application: str | None = None

    @property
    def source(self) -> str:
        return self.application or SOURCE_PREFIX + self.area

    @property
    def is_ours(self) -> bool:
        return self.application is None

    def detail(self) -> dict[str, Any]:
        """Return the event's detail on the bus. The outbox adds `sequence`."""
        return {
            "id": str(self.id),
            "type": self.type,
            "version": 1,
            "tenant_id": str(self.tenant_id),
            "aggregate_id": self.aggregate_id,
            "occurred_at": self.occurred_at.isoformat(),
            "correlation_id": self.correlation_id,
            "causation_id": self.causation_id,
            "priority": self.priority,
            "data": dict(self.data),
        }


@dataclass(frozen=True, slots=True)
class EventFactory:
    """Builds the platform's events of one area."""

    area: str
    now: Clock
    new_id: IdFactory

    def build(
        self,
        event_type: str,
        tenant_id: UUID,
        aggregate_id: UUID | str,
        data: Mapping[str, Any],
        *,
        correlation_id: UUID | str | None = None,
        event_id: UUID | None = None,
        priority: int = 2,
    ) -> Event:
        """Return an event that occurs now. `event_id` makes an event that can be built twice the same event."""
        return Event(
            id=event_id or self.new_id(),
            type=event_type,
            area=self.area,
            tenant_id=tenant_id,
            aggregate_id=str(aggregate_id),
            occurred_at=self.now(),
            data=data,
            correlation_id=None if correlation_id is None else str(correlation_id),
            priority=priority,
        )


@dataclass(frozen=True, slots=True)
class BusEntry:
    """An entry of a PutEvents call. `detail` is JSON."""

    source: str
    type: str
    detail: str


class Bus(Protocol):
    def put(self, entries: list[BusEntry]) -> list[bool]:
        """Put entries on the bus. Return for each entry, in order, whether the bus accepted it.

        Raises:
            Unavailable: no entry could be put.
        """


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as the outbox or the recorder stores it. `payload` is its detail."""

    id: UUID
    type: str
    source: str
    tenant_id: UUID
    occurred_at: datetime
    payload: Mapping[str, Any]
    aggregate_id: str | None = None
    sequence: int | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
