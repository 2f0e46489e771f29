"""Lambda's API with the versions and aliases of four functions, three of them of one stack."""

from typing import Any


class NotFoundError(Exception):
    pass


class Exceptions:
    ResourceNotFoundException = NotFoundError


class FakeLambda:
    """Each function has the versions 1 to 12. `email-sender-dev-rolled-back` uses version 2, the others use 12.

    `email-sender-dev-data-rotation` has no alias.
    """

    exceptions = Exceptions

    def __init__(self) -> None:
        self.deleted: list[tuple[str, str]] = []
        self.updated: dict[str, tuple[str, str]] = {}

    def get_paginator(self, operation: str) -> "FakePages":
        return FakePages(operation)

    def list_aliases(self, FunctionName: str) -> dict[str, Any]:
        aliases: list[dict[str, Any]] = [{"FunctionVersion": "12"}]
        if FunctionName.endswith("rotation"):
            aliases = []
        if FunctionName.endswith("rolled-back"):
            weights = {"AdditionalVersionWeights": {"3": 0.1}}
            aliases = [{"FunctionVersion": "2", "RoutingConfig": weights}]
        return {"Aliases": aliases}

    def get_alias(self, FunctionName: str, Name: str) -> dict[str, Any]:
        if FunctionName == "email-sender-dev-data-rotation":
            raise NotFoundError
        return {
            **self.list_aliases(FunctionName)["Aliases"][0],
            "Name": Name,
            "RevisionId": f"revision of {FunctionName}",
        }

    def update_alias(self, FunctionName: str, FunctionVersion: str, RevisionId: str, **_: Any) -> None:
        self.updated[FunctionName] = FunctionVersion, RevisionId

    def delete_function(self, FunctionName: str, Qualifier: str) -> None:
        self.deleted.append((FunctionName, Qualifier))


class FakePages:
    def __init__(self, operation: str) -> None:
        self._operation = operation

    def paginate(self, **_: str) -> list[dict[str, Any]]:
        if self._operation == "list_functions":
            names = (
                "email-sender-dev-one",
                "email-sender-dev-data-rotation",
                "email-sender-dev-rolled-back",
                "email-sender-dev2-one",
            )
            return [{"Functions": [{"FunctionName": name}]} for name in names]
        return [
            {"Versions": [{"Version": str(number)} for number in range(1, 13)]},
            {"Versions": [{"Version": "$LATEST"}]},
        ]
