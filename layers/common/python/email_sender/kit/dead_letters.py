"""Move a queue message to the dead-letter queue after its last attempt, together with the reason.

SQS moves messages that were received too often, but does not say why they failed. If the process dies during the last
attempt, SQS still moves the message, so nothing depends on this module.
"""

import os
from collections.abc import Mapping
from typing import Any

from email_sender.errors import DomainError
from email_sender.kit.aws_clients import client
from email_sender.kit.telemetry import logger

REASON = "reason"
_MAX_CHARACTERS = 1_000


def send_to_dead_letters(record: Mapping[str, Any], error: Exception) -> bool:
    """Send the record to the dead-letter queue if this was its last attempt. Return whether it was sent.

    `record` is the SQS record that Lambda passes to the handler. The environment names the queue (DEAD_LETTERS, a URL)
    and how often a message is received at most (MAX_RECEIVES). If the result is False, report the record as failed.
    """
    queue_url, max_receives = os.environ.get("DEAD_LETTERS"), int(os.environ.get("MAX_RECEIVES", "0"))
    if not queue_url or int(record["attributes"]["ApproximateReceiveCount"]) < max_receives:
        return False
    try:
        client("sqs").send_message(
            QueueUrl=queue_url,
            MessageBody=record["body"],
            MessageAttributes={REASON: {"DataType": "String", "StringValue": failure_reason(error)}},
        )
    except Exception:
        logger.exception("could not send a message to the dead-letter queue", message_id=record["messageId"])
        return False
    return True


def failure_reason(error: Exception) -> str:
    """Return the reason of a failure as text that contains nothing of the message."""
    if isinstance(error, DomainError):
        return f"{error.code}: {error.detail}"[:_MAX_CHARACTERS]
    return f"Internal error ({type(error).__name__}). See the logs for details."
