"""Every event of the bus, by way of a queue, into `events`, once."""

from collections.abc import Mapping, Sequence
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import ValidationError

from coordinator.bootstrap import recorder
from email_sender.coordination.recording import BusEvent
from email_sender.errors import DomainError, InvalidInput, Unavailable
from email_sender.kit.dead_letters import buried
from email_sender.kit.envelopes import Envelope
from email_sender.kit.telemetry import logger

type Record = Mapping[str, Any]
type Pair = tuple[Record, BusEvent]


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """The batch is stored in one transaction; where that fails, all of it comes again and nothing is stored twice."""
    batch: list[Pair] = []
    failed: list[Record] = []
    for record in event["Records"]:
        try:
            batch.append((record, Envelope.model_validate_json(record["body"]).event()))
        except ValidationError:
            logger.error("not an event of a bus", message_id=record["messageId"])
            if not buried(record, InvalidInput("Not an event of a bus.")):
                failed.append(record)
    failed += _stored(batch)
    return {"batchItemFailures": [{"itemIdentifier": each["messageId"]} for each in failed]}


def _stored(batch: Sequence[Pair]) -> list[Record]:
    """Returns what was not."""
    if not batch:
        return []
    try:
        stored = recorder().record([each for _, each in batch])
    except Unavailable:
        logger.exception("a batch was not recorded", size=len(batch))
        return [record for record, _ in batch]
    except DomainError as error:
        if len(batch) > 1:
            # One that cannot be stored does not keep the others out.
            middle = len(batch) // 2
            return _stored(batch[:middle]) + _stored(batch[middle:])
        (record, _), *_ = batch
        logger.exception("an event was not recorded", message_id=record["messageId"])
        return [] if buried(record, error) else [record]
    logger.info("events recorded", received=len(batch), stored=stored)
    return []
