"""Routes of events: list a tenant's events, publish an event, and replay events."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StrictBool

from coordinator_lambda.bootstrap import events, replay, units
from email_sender.adapters.postgres.event_log import EventQuery, PostgresEvents
from email_sender.adapters.postgres.unit_of_work import Units
from email_sender.coordination.events import StoredEvent
from email_sender.coordination.replays import EventRange, Replay, ReplayOptions
from email_sender.coordination.tenant_events import build_tenant_event
from email_sender.kit import notification_requests
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.dependencies import depends_on
from email_sender.kit.idempotency import IdempotentRoute, operation_id
from email_sender.kit.query_parameters import Cursor, Limit
from email_sender.kit.system_clock import now
from email_sender.security.permissions import Permission

router = APIRouter(prefix="/events", tags=["events"], route_class=IdempotentRoute)
Reader = Annotated[Principal, Depends(Requires(Permission.EVENTS_READ))]
Operator = Annotated[Principal, Depends(Requires(Permission.PLATFORM_OPERATE))]
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


class ReplayIn(BaseModel):
    """docs/guides/operating.md names the `consumers`. Consumers that may send mail require `force`."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    start: Annotated[AwareDatetime, Field(alias="from")]
    end: Annotated[AwareDatetime, Field(alias="to")]
    consumers: Annotated[list[Annotated[str, Field(max_length=64)]], Field(min_length=1, max_length=10)]
    types: Annotated[list[Annotated[str, Field(max_length=128)]], Field(max_length=50)] = []
    # The tenant of the events, not of the caller: an operator's token names the platform's tenant.
    of_tenant: UUID | None = None
    cursor: Annotated[str | None, Field(max_length=200)] = None
    force: StrictBool = False
    dry_run: StrictBool = False


class ReplayedOut(BaseModel):
    """`messages` counts for each consumer the messages that its rules matched and that were sent to it."""

    events: int
    messages: Mapping[str, int]
    next_cursor: str | None


@router.get("")
async def list_events(
    caller: Reader,
    log: Annotated[PostgresEvents, depends_on(events)],
    type_: Annotated[str | None, Query(alias="type", max_length=128)] = None,
    source: Annotated[str | None, Query(max_length=256)] = None,
    correlation_id: Annotated[str | None, Query(max_length=128, description="Id of a run or an import")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> EventsOut:
    """List the tenant's events, newest first."""
    event_page = log.page(caller.tenant_id, EventQuery(type_, source, correlation_id), cursor, limit)
    return EventsOut(items=[EventOut.of(event) for event in event_page.items], next_cursor=event_page.next_cursor)


@router.post("", status_code=202)
async def publish_event(
    request: Request, body: EventIn, caller: Publisher, open_unit: Annotated[Units, depends_on(units)]
) -> PublishedOut:
    """Publish an event of your own application. The platform's own sources and types are refused."""
    if body.type == notification_requests.TYPE:
        # The caller learns of a mistake here, instead of from a failed event.
        notification_requests.parse_notify_request(body.data)
    event = build_tenant_event(operation_id(request), caller.tenant_id, body.source, body.type, body.data, now())
    with open_unit(caller.tenant_id) as unit:
        unit.emit(event)
        unit.commit()
    return PublishedOut(id=event.id)


@router.post("/replay")
async def replay_events(
    body: ReplayIn, caller: Operator, replay_service: Annotated[Replay, depends_on(replay)]
) -> ReplayedOut:
    """Replay stored events. They go to the given consumers only, oldest first, with `"replayed": true`.

    A call replays a page of a hundred events; continue with `next_cursor`. Consumers skip events that they have
    already processed.
    """
    event_range = EventRange(body.start, body.end, body.types, body.of_tenant)
    options = ReplayOptions(caller.subject, now(), force=body.force, dry_run=body.dry_run)
    result = replay_service(event_range, body.consumers, body.cursor, options)
    return ReplayedOut(events=result.events, messages=result.messages, next_cursor=result.next_cursor)
