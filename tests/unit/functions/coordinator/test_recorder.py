"""Tests for the recorder's batches: a bad event blocks no other event, and a dead letter has a reason."""

import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from coordinator_lambda.events import recorder as consumer
from email_sender.coordination.event_recorder import BusEvent
from email_sender.errors import InvalidInput, Unavailable
from email_sender.kit import dead_letters

CONTEXT = cast(
    "LambdaContext",
    SimpleNamespace(function_name="f", memory_limit_in_mb=1, invoked_function_arn="arn", aws_request_id="r"),
)


class RecorderScenario:
    """A recorder that cannot store some events, and a queue for dead letters."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stored_ids: list[UUID] = []
        self.poison: set[UUID] = set()
        self.down = self.queue_down = False
        self.dead_letter_messages: list[dict[str, Any]] = []
        monkeypatch.setattr(consumer, "recorder", lambda: self)
        monkeypatch.setattr(dead_letters, "client", lambda _service: self)
        monkeypatch.setenv("DEAD_LETTERS", "https://queue")
        monkeypatch.setenv("MAX_RECEIVES", "3")

    def record(self, batch: Sequence[BusEvent]) -> int:
        if self.down:
            raise Unavailable("The database did not answer.")
        if any(bus_event.id in self.poison for bus_event in batch):
            raise InvalidInput("A value cannot be stored.")
        self.stored_ids += [bus_event.id for bus_event in batch]
        return len(batch)

    def send_message(self, **message: Any) -> None:
        if self.queue_down:
            raise ConnectionError
        self.dead_letter_messages.append(message)

    def consume(self, *bodies: str, receive_count: int = 1) -> list[str]:
        records = [
            {"messageId": f"m{number}", "body": body, "attributes": {"ApproximateReceiveCount": str(receive_count)}}
            for number, body in enumerate(bodies)
        ]
        response = consumer.handler({"Records": records}, CONTEXT)
        return [failure["itemIdentifier"] for failure in response["batchItemFailures"]]


@pytest.fixture
def scenario(monkeypatch: pytest.MonkeyPatch) -> RecorderScenario:
    return RecorderScenario(monkeypatch)


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


def test_an_event_that_cannot_be_stored_blocks_no_other_event(scenario: RecorderScenario) -> None:
    scenario.poison = {UUID(int=13), UUID(int=70)}
    failed = scenario.consume(*(event(number) for number in range(100)))
    assert failed == ["m13", "m70"]
    assert len(scenario.stored_ids) == len(set(scenario.stored_ids)) == 98


def test_an_unavailable_database_is_not_called_once_per_event(scenario: RecorderScenario) -> None:
    scenario.down = True
    assert len(scenario.consume(*(event(number) for number in range(100)), receive_count=9)) == 100
    assert scenario.dead_letter_messages == []


@pytest.mark.parametrize("body", ["", "no json", "{}", json.dumps({"id": "x"})])
def test_a_malformed_event_is_retried_and_finally_becomes_a_dead_letter_with_a_reason(
    scenario: RecorderScenario, body: str
) -> None:
    assert scenario.consume(body, event(1)) == ["m0"]
    assert scenario.consume(body, receive_count=3) == []
    (message,) = scenario.dead_letter_messages
    assert message["MessageBody"] == body
    assert message["MessageAttributes"]["reason"]["StringValue"] == "invalid_input: The message is not a bus event."
    assert scenario.stored_ids == [UUID(int=1)]


def test_an_event_that_cannot_become_a_dead_letter_stays_in_the_queue(scenario: RecorderScenario) -> None:
    scenario.queue_down = True
    assert scenario.consume("no json", receive_count=3) == ["m0"]


def test_the_reason_for_an_unexpected_error_is_only_its_name() -> None:
    assert "hunter2" not in dead_letters.failure_reason(RuntimeError("password=hunter2"))
    assert "RuntimeError" in dead_letters.failure_reason(RuntimeError("x"))
