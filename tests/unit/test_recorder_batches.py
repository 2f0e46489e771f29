"""The recorder's batches: one that cannot be stored keeps no other out, and the last try says why."""

import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from coordinator import recorder as consumer
from email_sender.coordination.recording import BusEvent
from email_sender.errors import InvalidInput, Unavailable
from email_sender.kit import dead_letters

CONTEXT = cast(
    "LambdaContext",
    SimpleNamespace(function_name="f", memory_limit_in_mb=1, invoked_function_arn="arn", aws_request_id="r"),
)


class Stage:
    """A recorder that cannot store some, and a queue for what fails for good."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stored: list[UUID] = []
        self.poison: set[UUID] = set()
        self.down = self.queue_down = False
        self.buried: list[dict[str, Any]] = []
        monkeypatch.setattr(consumer, "recorder", lambda: self)
        monkeypatch.setattr(dead_letters, "client", lambda _service: self)
        monkeypatch.setenv("DEAD_LETTERS", "https://queue")
        monkeypatch.setenv("MAX_RECEIVES", "3")

    def record(self, batch: Sequence[BusEvent]) -> int:
        if self.down:
            raise Unavailable("The database did not answer.")
        if any(each.id in self.poison for each in batch):
            raise InvalidInput("A value cannot be stored.")
        self.stored += [each.id for each in batch]
        return len(batch)

    def send_message(self, **message: Any) -> None:
        if self.queue_down:
            raise ConnectionError
        self.buried.append(message)

    def consume(self, *bodies: str, received: int = 1) -> list[str]:
        records = [
            {"messageId": f"m{number}", "body": body, "attributes": {"ApproximateReceiveCount": str(received)}}
            for number, body in enumerate(bodies)
        ]
        answer = consumer.handler({"Records": records}, CONTEXT)
        return [each["itemIdentifier"] for each in answer["batchItemFailures"]]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch)


def event(number: int) -> str:
    return json.dumps(
        {
            "id": str(UUID(int=number)),
            "account": "1",
            "source": "crm",
            "time": "2026-05-04T00:00:00Z",
            "detail-type": "x",
            "detail": {},
        }
    )


def test_one_that_cannot_be_stored_keeps_no_other_out(stage: Stage) -> None:
    stage.poison = {UUID(int=13), UUID(int=70)}
    failed = stage.consume(*(event(number) for number in range(100)))
    assert failed == ["m13", "m70"]
    assert len(stage.stored) == len(set(stage.stored)) == 98


def test_a_database_that_does_not_answer_is_not_asked_a_hundred_times(stage: Stage) -> None:
    stage.down = True
    assert len(stage.consume(*(event(number) for number in range(100)), received=9)) == 100
    assert stage.buried == []


@pytest.mark.parametrize("body", ["", "no json", "{}", json.dumps({"id": "x"})])
def test_what_is_no_event_comes_again_and_at_last_is_buried_with_the_reason(stage: Stage, body: str) -> None:
    assert stage.consume(body, event(1)) == ["m0"]
    assert stage.consume(body, received=3) == []
    (message,) = stage.buried
    assert message["MessageBody"] == body
    assert message["MessageAttributes"]["reason"]["StringValue"] == "invalid_input: Not an event of a bus."
    assert stage.stored == [UUID(int=1)]


def test_where_it_cannot_be_buried_it_is_left_to_the_queue(stage: Stage) -> None:
    stage.queue_down = True
    assert stage.consume("no json", received=3) == ["m0"]


def test_a_reason_holds_nothing_of_a_fault_but_its_name() -> None:
    assert "hunter2" not in dead_letters.reason_of(RuntimeError("password=hunter2"))
    assert "RuntimeError" in dead_letters.reason_of(RuntimeError("x"))
