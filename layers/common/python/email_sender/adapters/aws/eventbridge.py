"""Puts events on EventBridge (PutEvents). Implements coordination.events.Bus."""

import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from email_sender.adapters.aws.errors import AwsError, translate_aws_errors
from email_sender.coordination.events import BusEntry
from email_sender.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

_log = logging.getLogger(__name__)

# Limits of PutEvents: 10 entries and 256 KB a call (docs.aws.amazon.com/eventbridge, "PutEvents").
_MAX_ENTRIES = 10
_MAX_BYTES = 250_000
# The error code of an entry that EventBridge will never accept. Throttling and a missing bus or permission may pass.
_REJECTED = "ValidationException"
_UNAVAILABLE = "The event bus did not accept the events. Try again later."


class _EntryRejected(Exception):  # not a failure of the call
    """EventBridge will never accept an entry of the batch."""


class EventBridgeBus:
    def __init__(self, client: Callable[[], "EventBridgeClient"], bus: str) -> None:
        self._client = client
        self._bus = bus

    def put(self, entries: list[BusEntry]) -> list[bool]:
        acceptances: list[bool] = []
        for batch in _batches(entries):
            acceptances.extend(self._put(batch))
        return acceptances

    def _put(self, batch: list[BusEntry]) -> list[bool]:
        request: list[PutEventsRequestEntryTypeDef] = [
            {"EventBusName": self._bus, "Source": entry.source, "DetailType": entry.type, "Detail": entry.detail}
            for entry in batch
        ]
        try:
            with translate_aws_errors(_UNAVAILABLE, _translate):
                response = self._client().put_events(Entries=request)
        except _EntryRejected:
            if len(batch) > 1:
                # An invalid entry makes the whole call fail, so each entry is put by itself.
                return [accepted for entry in batch for accepted in self._put([entry])]
            _log.error("event rejected by the bus", extra={"source": batch[0].source, "type": batch[0].type})
            return [False]
        except OSError as error:
            # The connection failed below botocore.
            raise Unavailable(_UNAVAILABLE) from error
        return ["ErrorCode" not in entry for entry in response["Entries"]]


def _translate(error: AwsError) -> Exception | None:
    return _EntryRejected() if error.code == _REJECTED else None


def _batches(entries: list[BusEntry]) -> list[list[BusEntry]]:
    batches: list[list[BusEntry]] = []
    size = 0
    for entry in entries:
        entry_bytes = len(entry.detail.encode()) + len(entry.type) + len(entry.source)
        if not batches or len(batches[-1]) == _MAX_ENTRIES or size + entry_bytes > _MAX_BYTES:
            batches.append([])
            size = 0
        batches[-1].append(entry)
        size += entry_bytes
    return batches


def encode_detail(detail: dict[str, object]) -> str:
    return json.dumps(detail, separators=(",", ":"), ensure_ascii=False)
