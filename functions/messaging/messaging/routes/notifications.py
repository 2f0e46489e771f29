"""Notifications: a tenant's channels, and what it was told."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from email_sender.kit.auth import Principal, Requires
from email_sender.kit.idempotency import IdempotentRoute, operation_id
from email_sender.kit.params import Cursor, Limit, id_cursor
from email_sender.kit.provided import provided
from email_sender.messaging.addresses import normalise_address
from email_sender.messaging.notifying import Channel, ChannelKind, ChannelService, Level, Notification
from email_sender.security.permissions import Permission
from messaging.bootstrap import channel_service
from messaging.schemas import Listing

router = APIRouter(prefix="/notifications", tags=["notifications"], route_class=IdempotentRoute)
Service = Annotated[ChannelService, provided(channel_service)]
Manager = Annotated[Principal, Depends(Requires(Permission.NOTIFICATIONS_MANAGE))]


class ChannelIn(BaseModel):
    """`address` of a mail channel, `url` (https) of a webhook; a log has neither."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=100)]
    kind: ChannelKind
    min_level: Level = Level.INFO
    address: Annotated[str | None, Field(max_length=320)] = None
    url: Annotated[str | None, Field(max_length=2_000, pattern=r"^https://[^\s]+$")] = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.kind is ChannelKind.MAIL) != (self.address is not None):
            raise ValueError("a mail channel has an address, and no other has one")
        if (self.kind is ChannelKind.WEBHOOK) != (self.url is not None):
            raise ValueError("a webhook has a url, and no other channel has one")
        return self

    def target(self) -> str | None:
        return normalise_address(self.address) if self.address is not None else self.url


class ChannelOut(BaseModel):
    id: UUID
    name: str
    kind: ChannelKind
    min_level: Level
    target: str | None

    @classmethod
    def of(cls, channel: Channel) -> Self:
        return cls(
            id=channel.id, name=channel.name, kind=channel.kind, min_level=channel.min_level, target=channel.target
        )


class NewChannelOut(ChannelOut):
    """`secret` signs a webhook's posts, and is shown this once."""

    secret: str | None


class ChannelsOut(BaseModel):
    items: Sequence[ChannelOut]


class NotificationOut(BaseModel):
    """`count` were asked for, `told` of them were passed on: the others are folded until the quiet time is over."""

    id: UUID
    level: Level
    title: str
    text: str
    count: int
    told: int
    first_at: datetime
    last_at: datetime

    @classmethod
    def of(cls, one: Notification) -> Self:
        return cls(
            id=one.id, level=one.level, title=one.title, text=one.text, count=one.count, told=one.told,
            first_at=one.first_at, last_at=one.last_at,
        )  # fmt: skip


@router.get("")
async def page(caller: Manager, service: Service, limit: Limit = 50, cursor: Cursor = None) -> Listing[NotificationOut]:
    """The latest first."""
    found = service.page(caller.tenant_id, id_cursor(cursor), limit)
    return Listing(items=[NotificationOut.of(each) for each in found.items], next_cursor=found.next_cursor)


@router.get("/channels")
async def channels(caller: Manager, service: Service) -> ChannelsOut:
    """Where notifications go. Without any they go to the log."""
    return ChannelsOut(items=[ChannelOut.of(each) for each in service.all(caller.tenant_id)])


@router.post("/channels", status_code=201)
async def add(request: Request, body: ChannelIn, caller: Manager, service: Service) -> NewChannelOut:
    """409 where the name is taken."""
    channel = service.add(caller.tenant_id, operation_id(request), body.kind, body.name, body.min_level, body.target())
    return NewChannelOut(**ChannelOut.of(channel).model_dump(), secret=channel.secret)


@router.delete("/channels/{channel_id}", status_code=204)
async def delete(channel_id: UUID, caller: Manager, service: Service) -> Response:
    """What was not passed on to it yet is not."""
    service.delete(caller.tenant_id, channel_id)
    return Response(status_code=204)
