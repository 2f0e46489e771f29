"""Events that failed for good: what, why, since when; and back into their queues."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator

from coordinator.bootstrap import failed_events, redrive
from email_sender.coordination.failing import FailedEvent, FailedEvents, FailedStatus, Redrive, Wanted, shown
from email_sender.kit.ambient import now
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.params import Cursor, Limit
from email_sender.kit.provided import provided
from email_sender.security.permissions import Permission

router = APIRouter(prefix="/events/failed", tags=["failed events"])
Reader = Annotated[Principal, Depends(Requires(Permission.PLATFORM_READ))]
Operator = Annotated[Principal, Depends(Requires(Permission.PLATFORM_OPERATE))]


class FailedEventOut(BaseModel):
    """`event` is what names it: a tenant's content is not shown."""

    id: UUID
    consumer: str
    reason: str
    status: FailedStatus
    times: int
    first_seen: datetime
    last_seen: datetime
    event: Mapping[str, Any]

    @classmethod
    def of(cls, failed: FailedEvent) -> Self:
        return cls(
            id=failed.id,
            consumer=failed.consumer,
            reason=failed.reason,
            status=failed.status,
            times=failed.times,
            first_seen=failed.first_seen,
            last_seen=failed.last_seen,
            event=shown(failed.body),
        )


class FailedEventsOut(BaseModel):
    items: Sequence[FailedEventOut]
    next_cursor: str | None


class RedriveIn(BaseModel):
    """One of `ids`, `consumer` or `all`. What is parked comes back by its id alone."""

    model_config = ConfigDict(extra="forbid")

    ids: Annotated[list[UUID], Field(max_length=500)] = []
    consumer: Annotated[str | None, Field(max_length=64)] = None
    all: bool = False
    dry_run: bool = False

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum((bool(self.ids), self.consumer is not None, self.all)) != 1:
            raise ValueError("say which: ids, a consumer, or all")
        return self


class RedrivenOut(BaseModel):
    """`matched` may be sent back; `redriven` were, by their ids. At most 500 a call: ask again for more."""

    matched: int
    redriven: Sequence[UUID]


@router.get("")
async def page(
    _caller: Reader,
    failed: Annotated[FailedEvents, provided(failed_events)],
    consumer: Annotated[str | None, Query(max_length=64)] = None,
    status: Annotated[FailedStatus | None, Query(description="Without it: what was not sent back")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> FailedEventsOut:
    """The latest first."""
    found = failed.page(consumer, status, cursor, limit)
    return FailedEventsOut(items=[FailedEventOut.of(each) for each in found.items], next_cursor=found.next_cursor)


@router.post("/redrive")
async def send_back(body: RedriveIn, caller: Operator, again: Annotated[Redrive, provided(redrive)]) -> RedrivenOut:
    """Into the queues they came from, once more. Consumers do twice what they can do twice, so a repeat is safe."""
    done = again(Wanted(body.ids, body.consumer), caller.subject, now(), dry_run=body.dry_run)
    return RedrivenOut(matched=done.matched, redriven=[each.id for each in done.sent])
