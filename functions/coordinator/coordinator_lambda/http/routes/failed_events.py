"""Routes of failed events: list them, and send them back to their queues."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field, StrictBool, model_validator

from coordinator_lambda.bootstrap import failed_events, redrive
from email_sender.coordination.failed_events import (
    FailedEvent,
    FailedEvents,
    FailedEventSelector,
    FailedStatus,
    Redrive,
    redact_message,
)
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.dependencies import depends_on
from email_sender.kit.query_parameters import Cursor, Limit
from email_sender.kit.system_clock import now
from email_sender.security.permissions import Permission

router = APIRouter(prefix="/events/failed", tags=["failed events"])
Reader = Annotated[Principal, Depends(Requires(Permission.PLATFORM_READ))]
Operator = Annotated[Principal, Depends(Requires(Permission.PLATFORM_OPERATE))]


class FailedEventOut(BaseModel):
    """`event` holds the fields that identify the event. A tenant's content is not shown."""

    id: UUID
    consumer: str
    reason: str
    status: FailedStatus
    times: int
    first_seen: datetime
    last_seen: datetime
    event: Mapping[str, Any]

    @classmethod
    def of(cls, failed_event: FailedEvent) -> Self:
        return cls(
            id=failed_event.id,
            consumer=failed_event.consumer,
            reason=failed_event.reason,
            status=failed_event.status,
            times=failed_event.times,
            first_seen=failed_event.first_seen,
            last_seen=failed_event.last_seen,
            event=redact_message(failed_event.body),
        )


class FailedEventsOut(BaseModel):
    items: Sequence[FailedEventOut]
    next_cursor: str | None


class RedriveIn(BaseModel):
    """Set one of `ids`, `consumer` or `all`. Parked events are sent back only by their ids."""

    model_config = ConfigDict(extra="forbid")

    ids: Annotated[list[UUID], Field(max_length=500)] = []
    consumer: Annotated[str | None, Field(max_length=64)] = None
    all: StrictBool = False
    dry_run: StrictBool = False

    @model_validator(mode="after")
    def _require_one_selection(self) -> Self:
        if sum((bool(self.ids), self.consumer is not None, self.all)) != 1:
            raise ValueError("Set exactly one of ids, consumer and all.")
        return self


class RedrivenOut(BaseModel):
    """`matched` events may be sent back; `redriven` are the ids of those that were. A call sends back at most 500."""

    matched: int
    redriven: Sequence[UUID]


@router.get("")
async def list_failed_events(
    _caller: Reader,
    store: Annotated[FailedEvents, depends_on(failed_events)],
    consumer: Annotated[str | None, Query(max_length=64)] = None,
    status: Annotated[FailedStatus | None, Query(description="By default, events that were not sent back")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> FailedEventsOut:
    """List failed events, latest first."""
    failed_page = store.page(consumer, status, cursor, limit)
    return FailedEventsOut(
        items=[FailedEventOut.of(failed_event) for failed_event in failed_page.items],
        next_cursor=failed_page.next_cursor,
    )


@router.post("/redrive")
async def redrive_failed_events(
    body: RedriveIn, caller: Operator, redrive_service: Annotated[Redrive, depends_on(redrive)]
) -> RedrivenOut:
    """Redrive failed events. They return to their queues; consumers skip work that they have done, so repeat safely."""
    result = redrive_service(FailedEventSelector(body.ids, body.consumer), caller.subject, now(), dry_run=body.dry_run)
    return RedrivenOut(matched=result.matched, redriven=[failed_event.id for failed_event in result.sent])
