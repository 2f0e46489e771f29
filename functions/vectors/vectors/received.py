"""Mail that SES received: from the bucket's events, by way of a queue, into the archive."""

from email_sender.kit.envelopes import ObjectCreated
from email_sender.kit.queues import queue_handler
from email_sender.kit.telemetry import logger
from vectors.bootstrap import receiving


def receive(event: ObjectCreated) -> None:
    received = event.detail.object
    message_id = receiving().receive(received.key, received.version)
    if message_id is None:
        logger.warning("a mail that is nobody's", key=received.key)
    else:
        logger.info("a mail was received", message_id=str(message_id))


handler = queue_handler(ObjectCreated, receive)
