"""Verify the audit logs of every tenant: python -m scripts.audit_verify ENVIRONMENT, or `local` for `make run`.

The platform's own function does it, because only it can read the keys of the seals.
"""

import json
import sys
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from scripts.deploy import ROOT, read_region
from scripts.deployment_checks import DeploymentRefused
from scripts.stacks import AwsFailed, read_outputs

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


class NotVerified(RuntimeError):
    """The logs could not be verified. The message says why."""


def verify(client: "LambdaClient", function: str) -> dict[str, Any]:
    """Return how many logs were verified, and the problems by tenant.

    Raises:
        NotVerified: the function failed.
    """
    response = client.invoke(FunctionName=function, Payload=b'{"verify": true}')
    answer: dict[str, Any] = json.loads(response["Payload"].read())
    if response.get("FunctionError"):
        raise NotVerified(str(answer.get("errorMessage")))
    return answer


def _local() -> tuple["LambdaClient", str]:
    from local.aws.deploy import client_factory
    from local.layout import Layout

    path = Layout(ROOT / ".local").endpoints
    if not path.is_file():
        raise NotVerified("There is no local cloud yet. Start it with `make run`.")
    endpoints = json.loads(path.read_text())
    return client_factory(endpoints["aws_endpoint"])("lambda"), endpoints["records_function"]


def _deployed(environment: str) -> tuple["LambdaClient", str]:
    region = read_region((ROOT / "samconfig.toml").read_text(), environment)
    return boto3.client("lambda", region), read_outputs(f"email-sender-{environment}", region)["RecordsFunction"]


def main() -> int:
    environment = sys.argv[1] if len(sys.argv) > 1 else ""
    try:
        answer = verify(*(_local() if environment in ("", "local") else _deployed(environment)))
    except (NotVerified, DeploymentRefused, AwsFailed, BotoCoreError, ClientError) as error:
        print(f"Not verified: {error}", file=sys.stderr)
        return 2
    for tenant_id, problems in answer["problems"].items():
        for problem in problems:
            print(f"{tenant_id}: {problem}")
    if answer["problems"]:
        print(f"{len(answer['problems'])} of {answer['verified']} audit logs are not intact.", file=sys.stderr)
        return 1
    print(f"The audit logs of {answer['verified']} tenants are intact.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
