"""The last try of a queue's message: into the dead-letter queue by our own hand, with the reason.

SQS moves what was received too often by itself, and without a word why. A process that dies on its last try leaves it
to SQS, so nothing depends on this.
"""

import os
from collections.abc import Mapping
from typing import Any

from email_sender.errors import DomainError
from email_sender.kit.clients import client
from email_sender.kit.telemetry import logger

REASON = "reason"
_MAX_CHARACTERS = 1_000


def buried(record: Mapping[str, Any], error: Exception) -> bool:
    """Whether this was the last try and the record lies, with its reason, where failed ones lie.

    `record` is SQS's, as Lambda hands it over; the environment names the queue (DEAD_LETTERS) and how often a message
    is received at most (MAX_RECEIVES).
    """
    queue, most = os.environ.get("DEAD_LETTERS"), int(os.environ.get("MAX_RECEIVES", "0"))
    if not queue or int(record["attributes"]["ApproximateReceiveCount"]) < most:
        return False
    try:
        client("sqs").send_message(
            QueueUrl=queue,
            MessageBody=record["body"],
            MessageAttributes={REASON: {"DataType": "String", "StringValue": reason_of(error)}},
        )
    except Exception:
        logger.exception("a failed message was left to SQS", message_id=record["messageId"])
        return False
    return True


def reason_of(error: Exception) -> str:
    """In words that hold nothing of the message."""
    if isinstance(error, DomainError):
        return f"{error.code}: {error.detail}"[:_MAX_CHARACTERS]
    return f"A fault of ours ({type(error).__name__}), whose details are in the logs."
