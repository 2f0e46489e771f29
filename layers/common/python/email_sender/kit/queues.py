"""Queue consumers: each record by itself, and only the failed ones again."""

from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, ValidationError

from email_sender.errors import InvalidInput
from email_sender.kit.dead_letters import buried
from email_sender.kit.telemetry import logger


def queue_handler[M: BaseModel](
    model: type[M], consume: Callable[[M], None]
) -> Callable[[dict[str, Any], LambdaContext], Any]:
    """A handler of SQS batches whose bodies are events of `model`.

    A body that is not as the model says fails like any other record: its queue keeps it, then its dead-letter queue,
    with the reason of its last failure.
    """
    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)

    def one(record: SQSRecord) -> None:
        try:
            parsed = model.model_validate_json(record.body)
        except ValidationError as error:
            logger.error("not an event this queue is for", message_id=record.message_id, problems=error.error_count())
            refusal = InvalidInput("Not an event this queue is for.")
            if buried(record.raw_event, refusal):
                return
            raise refusal from None
        try:
            consume(parsed)
        except Exception as error:
            logger.exception("a record failed", message_id=record.message_id)
            if not buried(record.raw_event, error):
                raise

    @logger.inject_lambda_context(clear_state=True)
    def handler(event: dict[str, Any], context: LambdaContext) -> Any:
        return process_partial_response(event=event, record_handler=one, processor=processor, context=context)

    return handler
