"""Lambda queue handler: store mail that SES has received. The queue contains the bucket's object-created events."""

from email_sender.kit.eventbridge_envelopes import ObjectCreated
from email_sender.kit.queues import queue_handler
from email_sender.kit.telemetry import logger
from vectors_lambda.bootstrap.core import receiving


def receive(event: ObjectCreated) -> None:
    stored_object = event.detail.object
    message_id = receiving().receive(stored_object.key, stored_object.version)
    if message_id is None:
        logger.warning("received mail belongs to no tenant", key=stored_object.key)
    else:
        logger.info("mail received", message_id=str(message_id))


handler = queue_handler(ObjectCreated, receive)
