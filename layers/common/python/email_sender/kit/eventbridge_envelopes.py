"""Envelopes of EventBridge, as they arrive in SQS queues."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from email_sender.coordination.event_recorder import BusEvent


class Envelope(BaseModel):
    """Any event, as EventBridge delivers it."""

    model_config = ConfigDict(extra="ignore")

    id: UUID
    account: str
    source: str
    time: datetime
    type: str = Field(alias="detail-type")
    detail: Any

    def to_bus_event(self) -> BusEvent:
        return BusEvent(self.id, self.account, self.source, self.type, self.time, self.detail)


class _Object(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    key: str
    size: int = 0
    version: str | None = Field(default=None, alias="version-id")


class _Detail(BaseModel):
    object: _Object


class ObjectCreated(BaseModel):
    """The "Object Created" event of S3, as EventBridge delivers it."""

    detail: _Detail
    time: AwareDatetime | None = None
