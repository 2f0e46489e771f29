"""Routes of a tenant's notifications and channels."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from email_sender.archive.addresses import normalise_address
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.dependencies import depends_on
from email_sender.kit.idempotency import IdempotentRoute, operation_id
from email_sender.kit.query_parameters import Cursor, Limit, parse_id_cursor
from email_sender.kit.schemas import Listing, RequestBody
from email_sender.messaging.notifications import Channel, ChannelKind, ChannelService, Level, Notification
from email_sender.security.permissions import Permission
from messaging_lambda.bootstrap import channel_service

router = APIRouter(prefix="/notifications", tags=["notifications"], route_class=IdempotentRoute)
Service = Annotated[ChannelService, depends_on(channel_service)]
Manager = Annotated[Principal, Depends(Requires(Permission.NOTIFICATIONS_MANAGE))]


class _ChannelBody(RequestBody):
    name: Annotated[str, Field(min_length=1, max_length=100)]
    min_level: Level = Level.INFO


class MailChannelIn(_ChannelBody):
    kind: Literal[ChannelKind.MAIL]
    address: Annotated[str, Field(max_length=320, json_schema_extra={"format": "email"})]

    def target(self) -> str | None:
        return normalise_address(self.address)


class WebhookChannelIn(_ChannelBody):
    kind: Literal[ChannelKind.WEBHOOK]
    url: Annotated[str, Field(max_length=2_000, pattern=r"^https://[^\s]+$")]

    def target(self) -> str | None:
        return self.url


class LogChannelIn(_ChannelBody):
    kind: Literal[ChannelKind.LOG]

    def target(self) -> str | None:
        return None


ChannelIn = Annotated[MailChannelIn | WebhookChannelIn | LogChannelIn, Field(discriminator="kind")]


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
    """`secret` signs the requests to a webhook. It is returned only this once."""

    secret: str | None


class ChannelsOut(BaseModel):
    items: Sequence[ChannelOut]


class NotificationOut(BaseModel):
    """`count` is the number of requests; `told` is how many of them have been delivered.

    The other requests are combined until the quiet time ends.
    """

    id: UUID
    level: Level
    title: str
    text: str
    count: int
    told: int
    first_at: datetime
    last_at: datetime

    @classmethod
    def of(cls, notification: Notification) -> Self:
        return cls(
            id=notification.id,
            level=notification.level,
            title=notification.title,
            text=notification.text,
            count=notification.count,
            told=notification.told,
            first_at=notification.first_at,
            last_at=notification.last_at,
        )


@router.get("")
async def list_notifications(
    caller: Manager, service: Service, limit: Limit = 50, cursor: Cursor = None
) -> Listing[NotificationOut]:
    """List notifications. The newest come first."""
    notification_page = service.page(caller.tenant_id, parse_id_cursor(cursor), limit)
    return Listing(
        items=[NotificationOut.of(notification) for notification in notification_page.items],
        next_cursor=notification_page.next_cursor,
    )


@router.get("/channels")
async def list_channels(caller: Manager, service: Service) -> ChannelsOut:
    """List channels. Without any channel, notifications go to the log."""
    return ChannelsOut(items=[ChannelOut.of(channel) for channel in service.list_channels(caller.tenant_id)])


@router.post("/channels", status_code=201)
async def create_channel(request: Request, body: ChannelIn, caller: Manager, service: Service) -> NewChannelOut:
    """Create a channel. Returns 409 if the name is already used or there are too many channels."""
    channel = service.add(caller.tenant_id, operation_id(request), body.kind, body.name, body.min_level, body.target())
    return NewChannelOut(**ChannelOut.of(channel).model_dump(), secret=channel.secret)


@router.delete("/channels/{channel_id}", status_code=204)
async def delete_channel(channel_id: UUID, caller: Manager, service: Service) -> Response:
    """Delete a channel. Notifications that are not yet delivered to it are dropped."""
    service.delete(caller.tenant_id, channel_id)
    return Response(status_code=204)
