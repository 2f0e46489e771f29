"""Tests of how long and how often calls of AWS are made."""

import pytest

from email_sender.kit.aws_clients import client, slow_client


@pytest.fixture(autouse=True)
def region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")


def test_ordinary_calls_fail_while_the_caller_waits_and_are_repeated() -> None:
    config = client("sqs").meta.config
    assert (config.read_timeout, config.connect_timeout, config.retries["total_max_attempts"]) == (5, 2, 3)


def test_functions_and_models_get_their_time_and_one_attempt() -> None:
    """A second attempt after five seconds would send a request twice, or pay for a text twice."""
    config = slow_client("lambda", 80).meta.config
    assert (config.read_timeout, config.retries["total_max_attempts"]) == (80, 1)
