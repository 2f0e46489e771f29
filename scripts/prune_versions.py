"""Delete old versions of a stage's functions: SAM keeps them all, and a snapshot of each costs money all the time.

`make deploy` runs this after a deployment. The newest three stay, and those that an alias names, for a rollback.
"""

import sys
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

KEPT_VERSIONS = 3


def prune(client: "LambdaClient", stack: str) -> int:
    """Delete the old versions of the functions whose names begin with the stack's, and return how many."""
    deleted = 0
    for page in client.get_paginator("list_functions").paginate():
        for function in page["Functions"]:
            if function["FunctionName"].startswith(f"{stack}-"):
                deleted += _prune_function(client, function["FunctionName"])
    return deleted


def _prune_function(client: "LambdaClient", name: str) -> int:
    aliases = client.list_aliases(FunctionName=name)["Aliases"]
    if not aliases:
        # Not of the platform: the data stack has functions that rotate passwords.
        return 0
    used = {alias["FunctionVersion"] for alias in aliases}
    for alias in aliases:
        used |= alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {}).keys()
    pages = client.get_paginator("list_versions_by_function").paginate(FunctionName=name)
    versions = [version["Version"] for page in pages for version in page["Versions"] if version["Version"] != "$LATEST"]
    old = set(sorted(versions, key=int)[:-KEPT_VERSIONS]) - used
    for version in old:
        client.delete_function(FunctionName=name, Qualifier=version)
    return len(old)


def main() -> int:
    stack, region = sys.argv[1:]
    try:
        deleted = prune(boto3.client("lambda", region), stack)
    except (BotoCoreError, ClientError) as error:
        print(f"The deployment succeeded, but old versions of functions could not be deleted: {error}", file=sys.stderr)
        return 1
    print(f"Deleted {deleted} old versions of functions.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
