"""Give all functions of a stage the version before the current one: `make rollback ENV=prod`.

It takes seconds, because the versions still exist. The stack does not change: the next `make deploy` gives the aliases
new versions again. The database keeps its migrations, which older code accepts.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from scripts.deploy import ROOT, read_region, read_samconfig
from scripts.deployment_checks import DeploymentRefused

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

ALIAS = "live"


@dataclass(frozen=True, slots=True)
class Change:
    """One alias that goes back. `revision` is that of the alias when the plan was made."""

    function: str
    current: str
    previous: str
    revision: str


def plan(client: "LambdaClient", stack: str) -> list[Change]:
    """Return the changes for every function of the stack that has an older version."""
    changes = []
    for page in client.get_paginator("list_functions").paginate():
        for function in page["Functions"]:
            name = function["FunctionName"]
            if name.startswith(f"{stack}-"):
                try:
                    alias = client.get_alias(FunctionName=name, Name=ALIAS)
                except client.exceptions.ResourceNotFoundException:
                    # Not of the platform: the data stack has functions that rotate passwords.
                    continue
                previous = _version_before(client, name, int(alias["FunctionVersion"]))
                if previous is not None:
                    changes.append(Change(name, alias["FunctionVersion"], previous, alias["RevisionId"]))
    return sorted(changes, key=lambda change: change.function)


def _version_before(client: "LambdaClient", function: str, current: int) -> str | None:
    pages = client.get_paginator("list_versions_by_function").paginate(FunctionName=function)
    versions = [version["Version"] for page in pages for version in page["Versions"] if version["Version"] != "$LATEST"]
    older = [int(version) for version in versions if int(version) < current]
    return str(max(older)) if older else None


def apply(client: "LambdaClient", changes: Sequence[Change]) -> None:
    """Change the aliases. AWS refuses a change if somebody changed the alias since the plan."""
    for change in changes:
        client.update_alias(
            FunctionName=change.function,
            Name=ALIAS,
            FunctionVersion=change.previous,
            RoutingConfig={"AdditionalVersionWeights": {}},
            RevisionId=change.revision,
        )


def roll_back(client: "LambdaClient", stack: str, ask: Callable[[str], str]) -> int:
    """Show the plan, ask, and carry it out. Return the exit status."""
    changes = plan(client, stack)
    if not changes:
        print(f"No function of {stack} has an older version.", file=sys.stderr)
        return 1
    for change in changes:
        print(f"{change.function}: version {change.current} -> {change.previous}")
    try:
        answer = ask(f"Give these {len(changes)} functions their previous version? Type yes: ")
    except EOFError:
        answer = ""
    if answer.strip() != "yes":
        print("Nothing was changed.")
        return 1
    apply(client, changes)
    print(f"{len(changes)} functions run their previous version. `make deploy` brings the newest one back.")
    return 0


def main() -> int:
    environment, samconfig = sys.argv[1], (ROOT / "samconfig.toml").read_text()
    try:
        read_samconfig(samconfig, environment)
    except DeploymentRefused as error:
        print(error, file=sys.stderr)
        return 2
    client = boto3.client("lambda", read_region(samconfig, environment))
    try:
        return roll_back(client, f"email-sender-{environment}", input)
    except (BotoCoreError, ClientError) as error:
        print(f"The versions could not be read or changed: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
