"""Tests of the way back to the previous versions."""

from typing import Any

import pytest

from scripts.rollback import roll_back
from tests.unit.scripts.fake_lambda import FakeLambda


def test_all_functions_of_the_stack_go_back_by_one_version(capsys: pytest.CaptureFixture[str]) -> None:
    client: Any = FakeLambda()
    assert roll_back(client, "email-sender-dev", lambda _: "yes") == 0
    assert client.updated == {
        "email-sender-dev-one": ("11", "revision of email-sender-dev-one"),
        "email-sender-dev-rolled-back": ("1", "revision of email-sender-dev-rolled-back"),
    }
    assert "email-sender-dev-one: version 12 -> 11" in capsys.readouterr().out


@pytest.mark.parametrize("answer", ["", "y", "no"])
def test_nothing_changes_without_a_yes(answer: str) -> None:
    client: Any = FakeLambda()
    assert roll_back(client, "email-sender-dev", lambda _: answer) == 1
    assert client.updated == {}


def test_without_a_terminal_nothing_changes() -> None:
    def ask(_: str) -> str:
        raise EOFError

    client: Any = FakeLambda()
    assert roll_back(client, "email-sender-dev", ask) == 1
    assert client.updated == {}


def test_a_stage_without_functions_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    client: Any = FakeLambda()
    assert roll_back(client, "email-sender-prod", lambda _: "yes") == 1
    assert "No function of email-sender-prod has an older version." in capsys.readouterr().err
