"""Events: read the tenant's, publish its own."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from coordinator.bootstrap import events, units
from email_sender.adapters.postgres.events import EventQuery, PostgresEvents
from email_sender.adapters.postgres.unit import Units
from email_sender.coordination.events import StoredEvent
from email_sender.coordination.publishing import own_event
from email_sender.kit.ambient import now
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.idempotency import IdempotentRoute, operation_id
from email_sender.kit.params import Cursor, Limit
from email_sender.kit.provided import provided
from email_sender.security.permissions import Permission

router = APIRouter(prefix="/events", tags=["events"], route_class=IdempotentRoute)
Reader = Annotated[Principal, Depends(Requires(Permission.EVENTS_READ))]
Publisher = Annotated[Principal, Depends(Requires(Permission.EVENTS_PUBLISH))]


class EventOut(BaseModel):
    id: UUID
    type: str
    source: str
    occurred_at: datetime
    aggregate_id: str | None
    sequence: int | None
    correlation_id: str | None
    causation_id: str | None
    payload: Mapping[str, Any]

    @classmethod
    def of(cls, event: StoredEvent) -> Self:
        return cls(
            id=event.id,
            type=event.type,
            source=event.source,
            occurred_at=event.occurred_at,
            aggregate_id=event.aggregate_id,
            sequence=event.sequence,
            correlation_id=event.correlation_id,
            causation_id=event.causation_id,
            payload=event.payload,
        )


class EventsOut(BaseModel):
    items: Sequence[EventOut]
    next_cursor: str | None


class EventIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    source: Annotated[str, Field(min_length=1, max_length=200)]
    type: Annotated[str, Field(min_length=1, max_length=128)]
    data: dict[str, Any] = Field(default_factory=dict)


class PublishedOut(BaseModel):
    id: UUID


@router.get("")
async def page(
    caller: Reader,
    log: Annotated[PostgresEvents, provided(events)],
    type_: Annotated[str | None, Query(alias="type", max_length=128)] = None,
    source: Annotated[str | None, Query(max_length=256)] = None,
    correlation_id: Annotated[str | None, Query(max_length=128, description="A run's or an import's id")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> EventsOut:
    """The tenant's events, newest first."""
    found = log.page(caller.tenant_id, EventQuery(type_, source, correlation_id), cursor, limit)
    return EventsOut(items=[EventOut.of(each) for each in found.items], next_cursor=found.next_cursor)


@router.post("", status_code=202)
async def publish(
    request: Request, body: EventIn, caller: Publisher, open_unit: Annotated[Units, provided(units)]
) -> PublishedOut:
    """Put an event of your own application on the bus, as the caller's tenant. Our sources and types are refused."""
    event = own_event(operation_id(request), caller.tenant_id, body.source, body.type, body.data, now())
    with open_unit(caller.tenant_id) as unit:
        unit.emit(event)
        unit.commit()
    return PublishedOut(id=event.id)
