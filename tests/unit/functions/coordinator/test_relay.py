"""Tests that the relay continues until no event is due or its time is over."""

from types import SimpleNamespace
from typing import cast

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from coordinator_lambda.events import relay as relay_module


def context(milliseconds: int) -> LambdaContext:
    facts = {"function_name": "f", "memory_limit_in_mb": 1, "invoked_function_arn": "a", "aws_request_id": "r"}
    return cast("LambdaContext", SimpleNamespace(**facts, get_remaining_time_in_millis=lambda: milliseconds))


@pytest.mark.parametrize(
    ("sweeps", "milliseconds", "put"),
    [([0], 60_000, 0), ([500, 500, 75, 0], 60_000, 1_075), ([500, 500, 0], 9_000, 500)],
)
def test_every_due_event_is_put_on_the_bus(
    monkeypatch: pytest.MonkeyPatch, sweeps: list[int], milliseconds: int, put: int
) -> None:
    remaining_sweeps = iter(sweeps)
    monkeypatch.setattr(relay_module, "relay", lambda: SimpleNamespace(sweep=lambda: next(remaining_sweeps)))
    assert relay_module.handler({}, context(milliseconds)) == {"put": put}
