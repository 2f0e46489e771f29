"""What queues gave up on, into `failed_events`, where operators find it."""

from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from coordinator.bootstrap import consumer_of, failed_events
from email_sender.coordination.failing import Failure
from email_sender.kit.dead_letters import REASON
from email_sender.kit.live_settings import live_settings
from email_sender.kit.telemetry import logger

_NO_WORD = "Its function died or ran out of time, or it could not be delivered: the logs of that time say more."


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, int]:
    """All or none: where PostgreSQL does not answer, the queue keeps them and they come again."""
    failures = [_failure(record) for record in event["Records"]]
    failed_events().keep(failures, live_settings().failed_events.parked_after)
    logger.info("kept what failed", count=len(failures), consumers=sorted({each.consumer for each in failures}))
    return {"kept": len(failures)}


def _failure(record: dict[str, Any]) -> Failure:
    said = record.get("messageAttributes", {}).get(REASON, {}).get("stringValue")
    sent = datetime.fromtimestamp(int(record["attributes"]["SentTimestamp"]) / 1000, UTC)
    return Failure(consumer_of(record["eventSourceARN"]), record["body"], said or _NO_WORD, sent)
