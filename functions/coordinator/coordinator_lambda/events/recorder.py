"""Records every event of the bus once in `events`. The events arrive through a queue."""

from collections.abc import Mapping, Sequence
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import ValidationError

from coordinator_lambda.bootstrap import recorder
from email_sender.coordination.event_recorder import BusEvent
from email_sender.errors import DomainError, InvalidInput, Unavailable
from email_sender.kit.dead_letters import send_to_dead_letters
from email_sender.kit.eventbridge_envelopes import Envelope
from email_sender.kit.telemetry import logger

type Record = Mapping[str, Any]
type Pair = tuple[Record, BusEvent]


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """Store the batch in one transaction. If that fails, all of it is delivered again; nothing is stored twice."""
    batch: list[Pair] = []
    failed_records: list[Record] = []
    for record in event["Records"]:
        try:
            batch.append((record, Envelope.model_validate_json(record["body"]).to_bus_event()))
        except ValidationError:
            logger.error("message is not a bus event", message_id=record["messageId"])
            if not send_to_dead_letters(record, InvalidInput("The message is not a bus event.")):
                failed_records.append(record)
    failed_records += _store(batch)
    return {"batchItemFailures": [{"itemIdentifier": failed_record["messageId"]} for failed_record in failed_records]}


def _store(batch: Sequence[Pair]) -> list[Record]:
    """Store the events. Return the records that were not stored."""
    if not batch:
        return []
    try:
        stored_count = recorder().record([bus_event for _, bus_event in batch])
    except Unavailable:
        logger.exception("batch not recorded", size=len(batch))
        return [record for record, _ in batch]
    except DomainError as error:
        if len(batch) > 1:
            # Halve the batch, so that an event that cannot be stored does not block the others.
            middle = len(batch) // 2
            return _store(batch[:middle]) + _store(batch[middle:])
        (record, _), *_ = batch
        logger.exception("event not recorded", message_id=record["messageId"])
        return [] if send_to_dead_letters(record, error) else [record]
    logger.info("events recorded", received=len(batch), stored=stored_count)
    return []
