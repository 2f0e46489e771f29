"""Deliver notification requests and manager status changes to the owner's channels. They come through a queue."""

from functools import cache
from typing import Any

from email_sender.adapters.postgres.event_log import PostgresEventLog
from email_sender.coordination.event_recorder import EventOwnership
from email_sender.coordination.events import PLATFORM_TENANT, StoredEvent
from email_sender.errors import Unavailable
from email_sender.kit.eventbridge_envelopes import Envelope
from email_sender.kit.notification_requests import TYPE, parse_notify_request
from email_sender.kit.queues import queue_handler
from email_sender.kit.resources import platform_database
from email_sender.kit.telemetry import logger
from email_sender.messaging.notifications import Level, NotificationRequest
from messaging_lambda.bootstrap import notification_service

_MANAGER_NOTIFICATIONS = {
    "manager.failed": (Level.CRITICAL, "The {} does not work"),
    "manager.recovered": (Level.INFO, "The {} works again"),
}


@cache
def _owners() -> EventOwnership:
    return EventOwnership(PostgresEventLog(platform_database()))


def notify(envelope: Envelope) -> None:
    """Notify the tenant that owns the event. The owner is looked up: an event's own tenant id is not trusted."""
    event, is_own_event = _owners().resolve(envelope.to_bus_event())
    if event.type == TYPE:
        request = parse_notify_request(event.payload["data"] if is_own_event else event.payload)
    elif is_own_event and event.tenant_id == PLATFORM_TENANT and event.type in _MANAGER_NOTIFICATIONS:
        request = _manager_request(event)
    else:
        logger.warning("event ignored: it requests no notification", type=event.type, source=event.source)
        return
    notification_service().notify(event.tenant_id, event.id, request)
    try:
        notification_service().deliver(event.tenant_id)
    except Unavailable:
        # The request is stored: the sweep delivers it.
        logger.warning("delivery failed; the sweep will retry it", event_id=str(event.id))


def _manager_request(event: StoredEvent) -> NotificationRequest:
    data: dict[str, Any] = event.payload["data"]
    level, title = _MANAGER_NOTIFICATIONS[event.type]
    return NotificationRequest(
        title.format(data["manager"]), data["reason"] or "", level, f"{event.type}/{data['manager']}"
    )


handler = queue_handler(Envelope, notify)
