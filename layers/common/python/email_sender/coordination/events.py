"""Events: what happened, told once. Contract: docs/reference/events.md."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

# What no tenant is told to be: platform events and events of unregistered sources belong to it.
PLATFORM_TENANT = UUID("00000000-0000-7000-8000-000000000000")
SOURCE_PREFIX = "email_sender."
# Of an event's detail as JSON in UTF-8: the bus takes 256 KB with the envelope. What it would not take is not written.
MAX_EVENT_BYTES = 240_000


@dataclass(frozen=True, slots=True)
class Event:
    """`area` is who says it ("vectors"); `aggregate_id` is what it is about, whose events `sequence` orders.

    `correlation_id` is the same for all that one request or run brought about; `causation_id` is the event or request
    just before this one. `priority` is 0 (highest) to 3.
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
    # Set on what a tenant's own application says through us.
    application: str | None = None

    @property
    def source(self) -> str:
        return self.application or SOURCE_PREFIX + self.area

    @property
    def is_ours(self) -> bool:
        return self.application is None

    def detail(self) -> dict[str, Any]:
        """What goes on the bus; `sequence` is added by the outbox."""
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
class BusEntry:
    """One entry of PutEvents. `detail` is JSON."""

    source: str
    type: str
    detail: str


class Bus(Protocol):
    def put(self, entries: list[BusEntry]) -> list[bool]:
        """Whether each was taken, in order. Never raises for one entry; raises Unavailable where none could be put."""


@dataclass(frozen=True, slots=True)
class StoredEvent:
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
