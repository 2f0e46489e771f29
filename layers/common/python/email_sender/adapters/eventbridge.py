"""EventBridge's PutEvents. Implements coordination.events.Bus."""

import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from email_sender.coordination.events import BusEntry
from email_sender.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

_log = logging.getLogger(__name__)

# Limits of PutEvents: 10 entries and 256 KB a call (docs.aws.amazon.com/eventbridge, "PutEvents").
_MAX_ENTRIES = 10
_MAX_BYTES = 250_000
# What it says of an entry that it will never take. Throttling, and a bus or a permission that is missing, pass.
_REFUSED = "ValidationException"


class EventBridgeBus:
    def __init__(self, client: Callable[[], "EventBridgeClient"], bus: str) -> None:
        self._client = client
        self._bus = bus

    def put(self, entries: list[BusEntry]) -> list[bool]:
        taken: list[bool] = []
        for batch in _batches(entries):
            taken.extend(self._put(batch))
        return taken

    def _put(self, batch: list[BusEntry]) -> list[bool]:
        request: list[PutEventsRequestEntryTypeDef] = [
            {"EventBusName": self._bus, "Source": each.source, "DetailType": each.type, "Detail": each.detail}
            for each in batch
        ]
        from botocore.exceptions import ClientError

        try:
            answer = self._client().put_events(Entries=request)
        except ClientError as error:
            if error.response["Error"]["Code"] != _REFUSED:
                raise Unavailable("The event bus did not take it.") from error
            if len(batch) > 1:
                # Of ten, one that cannot be taken takes the others along: each by itself.
                return [taken for each in batch for taken in self._put([each])]
            _log.error("the event bus refuses an event", extra={"source": batch[0].source, "type": batch[0].type})
            return [False]
        except Exception as error:
            raise Unavailable("The event bus did not answer.") from error
        return ["ErrorCode" not in entry for entry in answer["Entries"]]


def _batches(entries: list[BusEntry]) -> list[list[BusEntry]]:
    batches: list[list[BusEntry]] = []
    size = 0
    for entry in entries:
        bytes_of_it = len(entry.detail.encode()) + len(entry.type) + len(entry.source)
        if not batches or len(batches[-1]) == _MAX_ENTRIES or size + bytes_of_it > _MAX_BYTES:
            batches.append([])
            size = 0
        batches[-1].append(entry)
        size += bytes_of_it
    return batches


def encode(detail: dict[str, object]) -> str:
    return json.dumps(detail, separators=(",", ":"), ensure_ascii=False)
