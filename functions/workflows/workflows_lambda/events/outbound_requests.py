"""The function that sends requests of http.request, notifications and webhooks.

It is outside the VPC, with tenants' secrets, and without the database.

The handler of the action (actions.http_request) calls it; that handler knows the run and has checked the principal.
"""

import base64
from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any
from uuid import UUID

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, Field

from email_sender.adapters.aws.errors import AwsError, translate_aws_errors
from email_sender.adapters.web.outbound_http import OutboundHttp, Request
from email_sender.errors import NotFound
from email_sender.kit.aws_clients import client
from email_sender.kit.environment import Settings
from email_sender.kit.tasks.platform_step import platform_step
from email_sender.security.bound_secrets import BoundSecret, parse_secret


class OutboundSettings(Settings):
    secrets_prefix: str
    """Prefix of the names of tenants' secrets."""


class OutboundRequest(BaseModel):
    """A request. `secret_headers` maps header names to names of the tenant's secrets.

    `any_status`: every answer is returned, also an error or a redirect, which is not followed then.
    """

    tenant_id: UUID
    method: str
    url: str
    headers: dict[str, str]
    secret_headers: dict[str, Annotated[str, Field(pattern=r"^[\w-]{1,64}$")]]
    body: str
    seconds: Annotated[float, Field(gt=0, le=300)]
    any_status: bool = False


@cache
def _outbound() -> OutboundHttp:
    return OutboundHttp()


@platform_step(OutboundRequest)
def handler(outbound_request: OutboundRequest, _context: LambdaContext) -> dict[str, Any]:
    secrets = {
        header: _secret(outbound_request.tenant_id, name) for header, name in outbound_request.secret_headers.items()
    }
    for secret in secrets.values():
        secret.check(outbound_request.url)
    request = Request(
        outbound_request.method,
        outbound_request.url,
        {**outbound_request.headers, **{header: secret.value for header, secret in secrets.items()}},
        base64.b64decode(outbound_request.body),
    )
    send = _outbound().exchange if outbound_request.any_status else _outbound().fetch
    response = send(request, outbound_request.seconds)
    result: dict[str, Any] = {"status": response.status, "headers": dict(response.headers), "body": response.body}
    return dict(_without(result, [secret.value for secret in secrets.values()]))


def _without(value: Any, secrets: Sequence[str]) -> Any:
    """Return the value without the secrets: some servers repeat what they were sent, and a run shows the response."""
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, "***")
        return value
    if isinstance(value, list):
        return [_without(element, secrets) for element in value]
    if isinstance(value, dict):
        return {_without(name, secrets): _without(element, secrets) for name, element in value.items()}
    return value


@cache
def _secrets_prefix() -> str:
    return OutboundSettings.from_environment().secrets_prefix


def _secret(tenant_id: UUID, name: str) -> BoundSecret:
    """Return a secret of the tenant. The tenant id is in the secret's name, so other tenants cannot reach it."""

    def translate(error: AwsError) -> Exception | None:
        return NotFound(f"The secret {name} does not exist.") if error.code == "ResourceNotFoundException" else None

    with translate_aws_errors("The secret could not be read from AWS Secrets Manager.", translate):
        response = client("secretsmanager").get_secret_value(SecretId=f"{_secrets_prefix()}/tenants/{tenant_id}/{name}")
    return parse_secret(name, str(response["SecretString"]))
