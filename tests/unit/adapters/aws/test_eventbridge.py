"""Tests for PutEvents batches: at most ten entries and 256 KB, and a rejected entry fails no other entry."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from email_sender.adapters.aws.eventbridge import EventBridgeBus
from email_sender.coordination.events import BusEntry
from email_sender.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

POISON = "x" * 300_000


class FakeEventBridge:
    """Reject a call over 256 KB as a whole, and each entry of the type `lost` on its own."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.calls: list[Sequence[dict[str, str]]] = []

    def put_events(self, *, Entries: Sequence[dict[str, str]]) -> dict[str, Any]:
        self.calls.append(Entries)
        if self.error is not None:
            raise self.error
        if sum(len(event["Detail"]) for event in Entries) > 256 * 1024:
            raise client_error("ValidationException")
        return {"Entries": [{"ErrorCode": "x"} if event["DetailType"] == "lost" else {} for event in Entries]}


def client_error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "PutEvents")


def entry(detail: str = "{}", kind: str = "created") -> BusEntry:
    return BusEntry("crm", kind, detail)


def bus(client: FakeEventBridge) -> EventBridgeBus:
    return EventBridgeBus(lambda: cast("EventBridgeClient", client), "bus")


def test_a_call_has_at_most_ten_entries_and_256_kilobytes() -> None:
    client = FakeEventBridge()
    assert bus(client).put([entry() for _ in range(23)]) == [True] * 23
    assert [len(call) for call in client.calls] == [10, 10, 3]
    assert client.calls[0][0] == {"EventBusName": "bus", "Source": "crm", "DetailType": "created", "Detail": "{}"}
    client = FakeEventBridge()
    assert bus(client).put([entry("x" * 100_000) for _ in range(5)]) == [True] * 5
    assert [len(call) for call in client.calls] == [2, 2, 1]
    # EventBridge counts the bytes of UTF-8.
    client = FakeEventBridge()
    bus(client).put([entry("ü" * 100_000) for _ in range(2)])
    assert [len(call) for call in client.calls] == [1, 1]


def test_no_entries_make_no_call() -> None:
    client = FakeEventBridge()
    assert bus(client).put([]) == []
    assert client.calls == []


def test_a_rejected_entry_is_reported_individually() -> None:
    assert bus(FakeEventBridge()).put([entry(), entry(kind="lost"), entry()]) == [True, False, True]


def test_an_oversized_entry_does_not_fail_the_others() -> None:
    client = FakeEventBridge()
    entries = [entry(), entry(POISON), *(entry() for _ in range(11))]
    assert bus(client).put(entries) == [True, False, *[True] * 11]


def test_an_invalid_entry_among_ten_is_isolated() -> None:
    """The bus also rejects entries for reasons that we do not check."""

    class StrictEventBridge(FakeEventBridge):
        def put_events(self, *, Entries: Sequence[dict[str, str]]) -> dict[str, Any]:
            if any(event["DetailType"] == "odd" for event in Entries):
                raise client_error("ValidationException")
            return super().put_events(Entries=Entries)

    entries = [entry() for _ in range(9)]
    assert bus(StrictEventBridge()).put([*entries, entry(kind="odd")]) == [*[True] * 9, False]


@pytest.mark.parametrize(
    "error",
    [
        client_error("ThrottlingException"), client_error("InternalException"), client_error("AccessDeniedException"),
        client_error("ResourceNotFoundException"), EndpointConnectionError(endpoint_url="http://bus"), OSError("away"),
    ],
    ids=str,
)  # fmt: skip
def test_a_failed_call_is_unavailable_and_not_repeated(error: Exception) -> None:
    client = FakeEventBridge(error)
    with pytest.raises(Unavailable):
        bus(client).put([entry() for _ in range(3)])
    assert len(client.calls) == 1
