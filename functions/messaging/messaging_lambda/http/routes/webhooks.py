"""Routes of webhooks, to which events are sent."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from email_sender.kit.auth import Principal, Requires
from email_sender.kit.dependencies import depends_on
from email_sender.kit.idempotency import IdempotentRoute, operation_id
from email_sender.kit.query_parameters import Cursor, Limit, parse_id_cursor
from email_sender.kit.schemas import Listing, RequestBody
from email_sender.messaging.webhooks import DeliveryState, Webhook, WebhookDelivery, WebhookService
from email_sender.security.permissions import Permission
from messaging_lambda.bootstrap import webhook_service

router = APIRouter(prefix="/webhooks", tags=["webhooks"], route_class=IdempotentRoute)
Service = Annotated[WebhookService, depends_on(webhook_service)]
Manager = Annotated[Principal, Depends(Requires(Permission.TENANT_MANAGE))]
Url = Annotated[str, Field(max_length=2_000, pattern=r"^https://[^\s]+$")]
# Its message comes from the service; the pattern is for the document.
Type = Annotated[
    str,
    Field(min_length=1, max_length=128, json_schema_extra={"pattern": r"^(\*|[A-Za-z0-9][A-Za-z0-9_.-]*(\.\*)?)$"}),
]
Types = Annotated[list[Type], Field(min_length=1, max_length=50)]


class WebhookIn(RequestBody):
    """`types` are types of events, such as `email.replied`, or `email.*` for all of a kind, or `*` for all."""

    url: Url
    types: Types


class WebhookOut(BaseModel):
    """`stopped_reason` says why nothing is sent any more. `PUT` starts it again."""

    id: UUID
    url: str
    types: Sequence[str]
    stopped_reason: str | None
    created_at: datetime

    @classmethod
    def of(cls, webhook: Webhook) -> Self:
        return cls(
            id=webhook.id, url=webhook.url, types=webhook.types, stopped_reason=webhook.stopped_reason,
            created_at=webhook.created_at,
        )  # fmt: skip


class NewWebhookOut(WebhookOut):
    """`secret` signs each request (Standard Webhooks). It is returned only this once."""

    secret: str


class WebhookSecretOut(BaseModel):
    """Until `previous_ends`, requests are signed with the old secret too."""

    secret: str
    previous_ends: datetime | None


class DeliveryOut(BaseModel):
    """An event for the webhook. `status` is that of the last answer, and `error` why it was not taken."""

    id: UUID
    event_id: UUID
    event_type: str
    state: DeliveryState
    attempts: int
    created_at: datetime
    next_attempt_at: datetime | None
    delivered_at: datetime | None
    status: int | None
    error: str | None

    @classmethod
    def of(cls, delivery: WebhookDelivery) -> Self:
        is_open = delivery.state in (DeliveryState.DUE, DeliveryState.SENDING)
        return cls(
            id=delivery.id, event_id=delivery.event_id, event_type=delivery.event_type, state=delivery.state,
            attempts=delivery.attempts, created_at=delivery.created_at,
            next_attempt_at=delivery.next_attempt_at if is_open else None, delivered_at=delivery.delivered_at,
            status=delivery.status, error=delivery.error,
        )  # fmt: skip


class ReplayWebhookIn(RequestBody):
    """`ids` are deliveries that ended; without them, all that failed are sent again."""

    ids: Annotated[list[UUID] | None, Field(min_length=1, max_length=100)] = None


class ReplayedOut(BaseModel):
    deliveries: int


class TestedOut(BaseModel):
    delivery_id: UUID


@router.get("")
async def list_webhooks(caller: Manager, service: Service) -> Listing[WebhookOut]:
    """List webhooks."""
    return Listing(items=[WebhookOut.of(webhook) for webhook in service.list_all(caller.tenant_id)])


@router.post("", status_code=201)
async def create_webhook(request: Request, body: WebhookIn, caller: Manager, service: Service) -> NewWebhookOut:
    """Create a webhook. From now on, each event of these types is posted to the URL, at least once."""
    webhook = service.add(caller.tenant_id, operation_id(request), body.url, body.types, caller.subject)
    return NewWebhookOut(**WebhookOut.of(webhook).model_dump(), secret=webhook.secrets[0])


@router.get("/{webhook_id}")
async def get_webhook(webhook_id: UUID, caller: Manager, service: Service) -> WebhookOut:
    """Get a webhook."""
    return WebhookOut.of(service.get(caller.tenant_id, webhook_id))


@router.put("/{webhook_id}")
async def update_webhook(webhook_id: UUID, body: WebhookIn, caller: Manager, service: Service) -> WebhookOut:
    """Update a webhook. Replaces the URL and the types, and starts a stopped webhook again."""
    return WebhookOut.of(service.change(caller.tenant_id, webhook_id, body.url, body.types))


@router.delete("/{webhook_id}", status_code=204)
async def delete_webhook(webhook_id: UUID, caller: Manager, service: Service) -> Response:
    """Delete a webhook, with the log of its deliveries."""
    service.delete(caller.tenant_id, webhook_id)
    return Response(status_code=204)


@router.post("/{webhook_id}/secret")
async def rotate_webhook_secret(webhook_id: UUID, caller: Manager, service: Service) -> WebhookSecretOut:
    """Give a webhook another secret. For a day, requests are signed with the old one too."""
    webhook = service.rotate_secret(caller.tenant_id, webhook_id)
    return WebhookSecretOut(secret=webhook.secrets[0], previous_ends=webhook.previous_ends)


@router.post("/{webhook_id}/test", status_code=202)
async def send_test_event(webhook_id: UUID, caller: Manager, service: Service) -> TestedOut:
    """Send an event of the type `webhook.test`. The log of deliveries has the answer within a minute."""
    return TestedOut(delivery_id=service.add_test(caller.tenant_id, webhook_id))


@router.get("/{webhook_id}/deliveries")
async def list_deliveries(
    webhook_id: UUID,
    caller: Manager,
    service: Service,
    state: DeliveryState | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Listing[DeliveryOut]:
    """List deliveries to a webhook. The newest come first. They are kept for 30 days."""
    found = service.deliveries(caller.tenant_id, webhook_id, state, parse_id_cursor(cursor), limit)
    return Listing(items=[DeliveryOut.of(delivery) for delivery in found.items], next_cursor=found.next_cursor)


@router.post("/{webhook_id}/replay")
async def replay_deliveries(webhook_id: UUID, body: ReplayWebhookIn, caller: Manager, service: Service) -> ReplayedOut:
    """Send ended deliveries again, with the same ids. Without `ids`, all that failed."""
    return ReplayedOut(deliveries=service.replay(caller.tenant_id, webhook_id, body.ids))
