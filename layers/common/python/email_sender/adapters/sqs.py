"""The queues of consumers. Implements coordination.failing.ConsumerQueues."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from email_sender.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

# SendMessageBatch takes ten messages and one megabyte in all; a message of ours is under 256 KB.
_MAX_ENTRIES = 10
_MAX_BYTES = 1_000_000


class SqsQueues:
    def __init__(self, client: Callable[[], "SQSClient"], urls: Mapping[str, str]) -> None:
        """`urls`: of each consumer's queue."""
        self._client, self._urls = client, urls

    def names(self) -> Sequence[str]:
        return list(self._urls)

    def send(self, consumer: str, bodies: Sequence[str]) -> Sequence[bool]:
        taken: list[bool] = []
        for batch in _batches(bodies):
            taken += self._send(self._urls[consumer], batch)
        return taken

    def _send(self, url: str, bodies: Sequence[str]) -> list[bool]:
        from botocore.exceptions import BotoCoreError, ClientError

        entries: list[SendMessageBatchRequestEntryTypeDef] = [
            {"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)
        ]
        try:
            answer = self._client().send_message_batch(QueueUrl=url, Entries=entries)
        except (BotoCoreError, ClientError) as error:
            raise Unavailable("The queue did not take it.") from error
        sent = {each["Id"] for each in answer.get("Successful", [])}
        return [each["Id"] in sent for each in entries]


def _batches(bodies: Sequence[str]) -> list[list[str]]:
    batches: list[list[str]] = []
    size = 0
    for body in bodies:
        bytes_of_it = len(body.encode())
        if not batches or len(batches[-1]) == _MAX_ENTRIES or size + bytes_of_it > _MAX_BYTES:
            batches.append([])
            size = 0
        batches[-1].append(body)
        size += bytes_of_it
    return batches
