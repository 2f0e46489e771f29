"""Sends messages to the queues of consumers. Implements coordination.failed_events.ConsumerQueues."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from email_sender.adapters.aws.errors import translate_aws_errors

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

# SendMessageBatch accepts ten messages and 1 MB in all. Our messages have less than 256 KB.
_MAX_ENTRIES = 10
_MAX_BYTES = 1_000_000


class SqsQueues:
    def __init__(self, client: Callable[[], "SQSClient"], urls: Mapping[str, str]) -> None:
        """`urls` holds the URL of each consumer's queue."""
        self._client, self._urls = client, urls

    def names(self) -> Sequence[str]:
        return list(self._urls)

    def send(self, consumer: str, bodies: Sequence[str]) -> Sequence[bool]:
        acceptances: list[bool] = []
        for batch in _batches(bodies):
            acceptances += self._send(self._urls[consumer], batch)
        return acceptances

    def _send(self, url: str, bodies: Sequence[str]) -> list[bool]:
        entries: list[SendMessageBatchRequestEntryTypeDef] = [
            {"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)
        ]
        with translate_aws_errors("The queue did not accept the messages. Try again later."):
            response = self._client().send_message_batch(QueueUrl=url, Entries=entries)
        sent_ids = {result["Id"] for result in response.get("Successful", [])}
        return [entry["Id"] in sent_ids for entry in entries]


def _batches(bodies: Sequence[str]) -> list[list[str]]:
    batches: list[list[str]] = []
    size = 0
    for body in bodies:
        body_bytes = len(body.encode())
        if not batches or len(batches[-1]) == _MAX_ENTRIES or size + body_bytes > _MAX_BYTES:
            batches.append([])
            size = 0
        batches[-1].append(body)
        size += body_bytes
    return batches
