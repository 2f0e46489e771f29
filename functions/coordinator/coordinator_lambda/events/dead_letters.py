"""Stores messages from dead-letter queues in `failed_events`, where operators find them."""

from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from coordinator_lambda.bootstrap import consumer_for, failed_events
from email_sender.coordination.failed_events import Failure
from email_sender.kit.dead_letters import REASON
from email_sender.kit.live_settings import live_settings
from email_sender.kit.telemetry import logger

_UNKNOWN_REASON = "The function crashed or timed out, or the message could not be delivered. See the logs of that time."


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, int]:
    """Store all messages or none: if PostgreSQL does not respond, the queue delivers them again."""
    failures = [_build_failure(record) for record in event["Records"]]
    failed_events().store(failures, live_settings().failed_events.parked_after)
    logger.info(
        "failed messages stored", count=len(failures), consumers=sorted({failure.consumer for failure in failures})
    )
    return {"kept": len(failures)}


def _build_failure(record: dict[str, Any]) -> Failure:
    reason = record.get("messageAttributes", {}).get(REASON, {}).get("stringValue")
    sent = datetime.fromtimestamp(int(record["attributes"]["SentTimestamp"]) / 1000, UTC)
    return Failure(consumer_for(record["eventSourceARN"]), record["body"], reason or _UNKNOWN_REASON, sent)
