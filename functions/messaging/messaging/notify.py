"""Requests of notifications, and what became of managers, by way of a queue: to their tenant's channels."""

from functools import cache
from typing import Any

from email_sender.adapters.postgres.events import PostgresEventLog
from email_sender.coordination.events import PLATFORM_TENANT, StoredEvent
from email_sender.coordination.recording import Owners
from email_sender.errors import Unavailable
from email_sender.kit.envelopes import Envelope
from email_sender.kit.notify_request import TYPE, notify_request
from email_sender.kit.queues import queue_handler
from email_sender.kit.resources import platform_database
from email_sender.kit.telemetry import logger
from email_sender.messaging.notifying import Level, Request
from messaging.bootstrap import notification_service

_MANAGERS = {
    "manager.failed": (Level.CRITICAL, "The {} does not work"),
    "manager.recovered": (Level.INFO, "The {} works again"),
}


@cache
def _owners() -> Owners:
    return Owners(PostgresEventLog(platform_database()))


def notify(envelope: Envelope) -> None:
    """Whose it is, is what the event's owner is: not what it says."""
    event, ours = _owners().of(envelope.event())
    if event.type == TYPE:
        request = notify_request(event.payload["data"] if ours else event.payload)
    elif ours and event.tenant_id == PLATFORM_TENANT and event.type in _MANAGERS:
        request = _of_manager(event)
    else:
        logger.warning("nothing to notify of", type=event.type, source=event.source)
        return
    notification_service().ask(event.tenant_id, event.id, request)
    try:
        notification_service().deliver(event.tenant_id)
    except Unavailable:
        # It is asked for: the sweep passes it on.
        logger.warning("left to the sweep", event_id=str(event.id))


def _of_manager(event: StoredEvent) -> Request:
    data: dict[str, Any] = event.payload["data"]
    level, title = _MANAGERS[event.type]
    return Request(title.format(data["manager"]), data["reason"] or "", level, f"{event.type}/{data['manager']}")


handler = queue_handler(Envelope, notify)
