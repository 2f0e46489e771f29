"""Tests of the deletion of old function versions."""

from typing import Any

from scripts.prune_versions import prune


class FakeLambda:
    """Two functions of the stack and one of another, each with versions 1 to 12 and an alias."""

    def __init__(self) -> None:
        self.deleted: list[tuple[str, str]] = []

    def get_paginator(self, operation: str) -> "FakePages":
        return FakePages(operation)

    def list_aliases(self, FunctionName: str) -> dict[str, Any]:
        aliases: list[dict[str, Any]] = [{"FunctionVersion": "12"}]
        if FunctionName.endswith("rolled-back"):
            weights = {"AdditionalVersionWeights": {"3": 0.1}}
            aliases = [{"FunctionVersion": "2", "RoutingConfig": weights}]
        return {"Aliases": aliases}

    def delete_function(self, FunctionName: str, Qualifier: str) -> None:
        self.deleted.append((FunctionName, Qualifier))


class FakePages:
    def __init__(self, operation: str) -> None:
        self._operation = operation

    def paginate(self, **_: str) -> list[dict[str, Any]]:
        if self._operation == "list_functions":
            names = ("email-sender-dev-one", "email-sender-dev-rolled-back", "email-sender-dev2-one")
            return [{"Functions": [{"FunctionName": name}]} for name in names]
        return [
            {"Versions": [{"Version": str(number)} for number in range(1, 13)]},
            {"Versions": [{"Version": "$LATEST"}]},
        ]


def test_the_newest_versions_and_those_of_aliases_stay() -> None:
    client: Any = FakeLambda()
    assert prune(client, "email-sender-dev") == 9 + 7
    left_of_rolled_back = {str(number) for number in range(1, 13)} - {
        version for name, version in client.deleted if name == "email-sender-dev-rolled-back"
    }
    assert left_of_rolled_back == {"2", "3", "10", "11", "12"}
    assert not [name for name, _ in client.deleted if name == "email-sender-dev2-one"]
