"""Send events to the webhooks of their tenant. They come through a queue of their own."""

from functools import cache

from email_sender.adapters.postgres.event_log import PostgresEventLog
from email_sender.coordination.event_recorder import EventOwnership
from email_sender.errors import Unavailable
from email_sender.kit.eventbridge_envelopes import Envelope
from email_sender.kit.queues import queue_handler
from email_sender.kit.resources import platform_database
from email_sender.kit.telemetry import logger
from messaging_lambda.bootstrap import webhook_sender


@cache
def _owners() -> EventOwnership:
    return EventOwnership(PostgresEventLog(platform_database()))


def send(envelope: Envelope) -> None:
    """Store a delivery for each webhook, and send it.

    The event's owner is looked up: an event's own tenant id is not trusted.
    """
    event, _is_own = _owners().resolve(envelope.to_bus_event())
    if not webhook_sender().accept(event):
        return
    try:
        webhook_sender().deliver(event.tenant_id)
    except Unavailable:
        # The delivery is stored: the sweep sends it.
        logger.warning("delivery failed; the sweep will retry it", event_id=str(event.id))


handler = queue_handler(Envelope, send)
