"""The function that sends the requests of http.request: outside the VPC, with tenants' secrets, without the database.

The handler of the action (workflows.tasks) calls it; that handler knows the run and has checked the principal.
"""

import base64
from functools import cache
from typing import Annotated, Any
from uuid import UUID

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, Field

from email_sender.adapters.web.outbound_http import OutboundHttp, Request
from email_sender.errors import DomainError, NotFound, Unavailable
from email_sender.kit.aws_clients import client
from email_sender.kit.environment import Settings
from email_sender.kit.tasks import state_machine_error
from email_sender.kit.telemetry import logger


class OutboundSettings(Settings):
    secrets_prefix: str
    """Prefix of the names of tenants' secrets."""


class OutboundRequest(BaseModel):
    """The request that workflows.tasks sends. `secret_headers` maps header names to names of the tenant's secrets."""

    tenant_id: UUID
    method: str
    url: str
    headers: dict[str, str]
    secret_headers: dict[str, Annotated[str, Field(pattern=r"^[\w-]{1,64}$")]]
    body: str
    seconds: Annotated[float, Field(gt=0, le=300)]


@cache
def _outbound() -> OutboundHttp:
    return OutboundHttp()


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    outbound_request = OutboundRequest.model_validate(event)
    try:
        headers = {
            **outbound_request.headers,
            **{
                name: _secret(outbound_request.tenant_id, secret)
                for name, secret in outbound_request.secret_headers.items()
            },
        }
        request = Request(
            outbound_request.method, outbound_request.url, headers, base64.b64decode(outbound_request.body)
        )
        response = _outbound().fetch(request, outbound_request.seconds)
    except DomainError as error:
        raise state_machine_error(error) from error
    return {"status": response.status, "headers": dict(response.headers), "body": response.body}


def _secret(tenant_id: UUID, name: str) -> str:
    """Return a secret of the tenant. The tenant id is in the secret's name, so other tenants cannot reach it."""
    from botocore.exceptions import BotoCoreError, ClientError

    prefix = OutboundSettings.from_environment().secrets_prefix
    try:
        response = client("secretsmanager").get_secret_value(SecretId=f"{prefix}/tenants/{tenant_id}/{name}")
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            raise NotFound(f"The secret {name} does not exist.") from None
        raise Unavailable("The secret could not be read from AWS Secrets Manager.") from None
    except BotoCoreError:
        raise Unavailable("AWS Secrets Manager did not respond.") from None
    return str(response["SecretString"])
