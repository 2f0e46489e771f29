"""Consumers of SQS queues: each record is processed separately, and only failed records are tried again."""

from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, ValidationError

from email_sender import tracing
from email_sender.errors import InvalidInput
from email_sender.kit.dead_letters import send_to_dead_letters
from email_sender.kit.telemetry import log_trace, logger


def queue_handler[M: BaseModel](
    model: type[M], consume: Callable[[M], None]
) -> Callable[[dict[str, Any], LambdaContext], Any]:
    """Return a handler of SQS batches whose message bodies are events of `model`.

    A body that does not match the model fails like any other record: it stays in its queue and, after the last attempt,
    moves to the dead-letter queue with the reason of the last failure.
    """
    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)

    def process_record(record: SQSRecord) -> None:
        try:
            message = model.model_validate_json(record.body)
        except ValidationError as error:
            logger.error("a message has the wrong form", message_id=record.message_id, problems=error.error_count())
            invalid_message = InvalidInput("The message is not an event that this queue accepts.")
            if send_to_dead_letters(record.raw_event, invalid_message):
                return
            raise invalid_message from None
        try:
            with tracing.invocation("process", "consumer", tracing.find_traceparent(record.body)):
                log_trace()
                tracing.describe(messaging__system="aws_sqs", messaging__message__id=record.message_id)
                consume(message)
        except Exception as error:
            logger.exception("could not process a message", message_id=record.message_id)
            if not send_to_dead_letters(record.raw_event, error):
                raise

    @logger.inject_lambda_context(clear_state=True)
    def handler(event: dict[str, Any], context: LambdaContext) -> Any:
        return process_partial_response(
            event=event, record_handler=process_record, processor=processor, context=context
        )

    return handler
