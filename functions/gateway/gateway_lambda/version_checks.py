"""Checks a new version of an HTTP function with requests like those of API Gateway, before it gets traffic.

The requests are those of the operators' tenant: the sign-in refuses one, two write a point and find it, the others read
a list. So a version without its settings, its rights, the database or the engine fails.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from email_sender.coordination.events import PLATFORM_TENANT
from email_sender.kit.api_paths import BASE_PATH, CONSOLE_PATH

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

_COLLECTION = "task_vectors"
_VECTOR = [1.0] + [0.0] * 1535
# The point that every check writes again. Only the tenant of the operators has it.
_POINT = "00000000-0000-7000-8000-000000000001"


@dataclass(frozen=True, slots=True)
class Check:
    """One request, and the status that it must get. `path` is below `prefix`."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    status: int = 200
    prefix: str = BASE_PATH


# By the logical id of the function in the template, which is a part of its name.
CHECKS: Mapping[str, Sequence[Check]] = {
    "GatewayFunction": (
        Check("GET", "/version"),
        Check("POST", "/auth/token", {"username": "nobody", "password": "Wrong-password-1"}, status=401),
    ),
    "VectorsFunction": (
        Check("POST", "/vectors/insert", {"collection": _COLLECTION, "points": [{"id": _POINT, "vector": _VECTOR}]}),
        Check("POST", "/vectors/search", {"collection": _COLLECTION, "vector": _VECTOR, "limit": 1}),
    ),
    "MessagingFunction": (Check("GET", "/contacts", query={"limit": "1"}),),
    "WorkflowsFunction": (Check("GET", "/workflows", query={"limit": "1"}),),
    "CoordinatorFunction": (Check("GET", "/events", query={"limit": "1"}),),
    # Without a session, a page sends people to the sign-in; the other request reads the issuer's configuration.
    "ConsoleFunction": (
        Check("GET", "", status=303, prefix=CONSOLE_PATH),
        Check("GET", "/sign-in", status=303, prefix=CONSOLE_PATH),
    ),
}


class CheckFailed(RuntimeError):
    """A request did not get its status. The message has the request and the response."""


def check_version(client: "LambdaClient", function: str, version: str) -> int:
    """Send the requests for this function to one of its versions, and return how many there were.

    Raises:
        CheckFailed: a request failed, or there are no requests for this function.
    """
    checks = next((checks for name, checks in CHECKS.items() if f"-{name}-" in function), None)
    if checks is None:
        raise CheckFailed(f"There are no checks for {function}.")
    for check in checks:
        response = client.invoke(FunctionName=function, Qualifier=version, Payload=json.dumps(_event(check)).encode())
        answer = json.loads(response["Payload"].read())
        if response.get("FunctionError") or answer.get("statusCode") != check.status:
            raise CheckFailed(f"{check.method} {check.path} of {function}, version {version}: {str(answer)[:500]}")
    return len(checks)


def _event(check: Check) -> dict[str, Any]:
    """Return the event of an HTTP API for a request of an administrator of the operators' tenant."""
    path = check.prefix + check.path
    claims = {
        "sub": "pre-traffic", "token_use": "access", "exp": "4102444800", "role": "admin",
        "tenant_id": str(PLATFORM_TENANT),
    }  # fmt: skip
    return {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": "&".join(f"{name}={value}" for name, value in check.query.items()),
        "headers": {"content-type": "application/json"},
        "requestContext": {
            "http": {
                "method": check.method, "path": path, "sourceIp": "127.0.0.1", "protocol": "HTTP/1.1",
                "userAgent": "pre-traffic",
            },
            "requestId": "pre-traffic",
            "stage": "$default",
            "authorizer": {"jwt": {"claims": claims}},
        },
        **({"body": json.dumps(check.body)} if check.body is not None else {}),
        "isBase64Encoded": False,
    }  # fmt: skip
