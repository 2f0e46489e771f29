"""Puts events on EventBridge (PutEvents). Implements coordination.events.Bus."""

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
# The error code of an entry that EventBridge will never accept. Throttling and a missing bus or permission may pass.
_REFUSED = "ValidationException"


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
        from botocore.exceptions import ClientError

        try:
            response = self._client().put_events(Entries=request)
        except ClientError as error:
            if error.response["Error"]["Code"] != _REFUSED:
                raise Unavailable("The event bus did not accept the events. Try again later.") from error
            if len(batch) > 1:
                # An invalid entry makes the whole call fail, so each entry is put by itself.
                return [accepted for entry in batch for accepted in self._put([entry])]
            _log.error("event rejected by the bus", extra={"source": batch[0].source, "type": batch[0].type})
            return [False]
        except Exception as error:
            raise Unavailable("The event bus did not respond.") from error
        return ["ErrorCode" not in entry for entry in response["Entries"]]


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
