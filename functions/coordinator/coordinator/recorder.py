"""Every event of the bus, by way of a queue, into `events`, once."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import ValidationError

from coordinator.bootstrap import recorder
from email_sender.coordination.recording import BusEvent
from email_sender.errors import DomainError
from email_sender.kit.envelopes import Envelope
from email_sender.kit.telemetry import logger


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """The batch is stored in one transaction; where that fails, all of it comes again and nothing is stored twice."""
    batch: list[BusEvent] = []
    failed: list[str] = []
    message_ids: list[str] = []
    for record in event["Records"]:
        try:
            envelope = Envelope.model_validate_json(record["body"])
        except ValidationError:
            logger.error("not an event of a bus", message_id=record["messageId"])
            failed.append(record["messageId"])
            continue
        message_ids.append(record["messageId"])
        batch.append(envelope.event())
    try:
        stored = recorder().record(batch) if batch else 0
        logger.info("events recorded", received=len(batch), stored=stored)
    except DomainError:
        logger.exception("a batch was not recorded", size=len(batch))
        failed += message_ids
    return {"batchItemFailures": [{"itemIdentifier": each} for each in failed]}
