"""PutEvents: in tens, within its bytes, and one that it refuses does not take the others along."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from email_sender.adapters.eventbridge import EventBridgeBus
from email_sender.coordination.events import BusEntry
from email_sender.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

POISON = "x" * 300_000


class Client:
    """Refuses a call with more than 256 KB as a whole, and entries of the type `lost` one by one."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.calls: list[Sequence[dict[str, str]]] = []

    def put_events(self, *, Entries: Sequence[dict[str, str]]) -> dict[str, Any]:
        self.calls.append(Entries)
        if self.error is not None:
            raise self.error
        if sum(len(each["Detail"]) for each in Entries) > 256 * 1024:
            raise refusal("ValidationException")
        return {"Entries": [{"ErrorCode": "x"} if each["DetailType"] == "lost" else {} for each in Entries]}


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "PutEvents")


def entry(detail: str = "{}", kind: str = "told") -> BusEntry:
    return BusEntry("crm", kind, detail)


def bus(client: Client) -> EventBridgeBus:
    return EventBridgeBus(lambda: cast("EventBridgeClient", client), "bus")


def test_calls_have_ten_entries_at_most_and_so_many_bytes() -> None:
    client = Client()
    assert bus(client).put([entry() for _ in range(23)]) == [True] * 23
    assert [len(each) for each in client.calls] == [10, 10, 3]
    assert client.calls[0][0] == {"EventBusName": "bus", "Source": "crm", "DetailType": "told", "Detail": "{}"}
    client = Client()
    assert bus(client).put([entry("x" * 100_000) for _ in range(5)]) == [True] * 5
    assert [len(each) for each in client.calls] == [2, 2, 1]
    # Counted as the bus does: in UTF-8.
    client = Client()
    bus(client).put([entry("ü" * 100_000) for _ in range(2)])
    assert [len(each) for each in client.calls] == [1, 1]


def test_nothing_is_no_call() -> None:
    client = Client()
    assert bus(client).put([]) == []
    assert client.calls == []


def test_what_was_not_taken_is_said_one_by_one() -> None:
    assert bus(Client()).put([entry(), entry(kind="lost"), entry()]) == [True, False, True]


def test_one_that_is_never_taken_takes_no_other_along() -> None:
    client = Client()
    given = [entry(), entry(POISON), *(entry() for _ in range(11))]
    assert bus(client).put(given) == [True, False, *[True] * 11]


def test_one_that_is_refused_among_ten_is_found() -> None:
    """Whatever it is refused for: the bus counts what we do not, too."""

    class Strict(Client):
        def put_events(self, *, Entries: Sequence[dict[str, str]]) -> dict[str, Any]:
            if any(each["DetailType"] == "odd" for each in Entries):
                raise refusal("ValidationException")
            return super().put_events(Entries=Entries)

    given = [entry() for _ in range(9)]
    assert bus(Strict()).put([*given, entry(kind="odd")]) == [*[True] * 9, False]


@pytest.mark.parametrize(
    "error",
    [
        refusal("ThrottlingException"), refusal("InternalException"), refusal("AccessDeniedException"),
        refusal("ResourceNotFoundException"), EndpointConnectionError(endpoint_url="http://bus"), OSError("away"),
    ],
    ids=str,
)  # fmt: skip
def test_what_passes_is_unavailable_and_asked_once(error: Exception) -> None:
    client = Client(error)
    with pytest.raises(Unavailable):
        bus(client).put([entry() for _ in range(3)])
    assert len(client.calls) == 1
