"""Tests of the deletion of old function versions."""

from typing import Any

from scripts.prune_versions import prune
from tests.unit.scripts.fake_lambda import FakeLambda


def test_the_newest_versions_and_those_of_aliases_stay() -> None:
    client: Any = FakeLambda()
    assert prune(client, "email-sender-dev") == 9 + 7
    left_of_rolled_back = {str(number) for number in range(1, 13)} - {
        version for name, version in client.deleted if name == "email-sender-dev-rolled-back"
    }
    assert left_of_rolled_back == {"2", "3", "10", "11", "12"}
    assert not [name for name, _ in client.deleted if name == "email-sender-dev2-one"]
