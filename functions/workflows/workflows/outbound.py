"""The function that reaches the world for http.request: outside the VPC, without the database, with tenants' secrets.

It is called by the action's handler (workflows.tasks), which knows the run and has checked the principal.
"""

import base64
from functools import cache
from typing import Annotated, Any
from uuid import UUID

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, Field

from email_sender.adapters.outbound_http import OutboundHttp, Request
from email_sender.errors import DomainError, NotFound, Unavailable
from email_sender.kit.clients import client
from email_sender.kit.config import Settings
from email_sender.kit.tasks import named_error
from email_sender.kit.telemetry import logger


class OutboundSettings(Settings):
    secrets_prefix: str


class Ask(BaseModel):
    """What workflows.tasks sends. `secret_headers` are names of the tenant's secrets."""

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
    ask = Ask.model_validate(event)
    try:
        headers = {
            **ask.headers,
            **{name: _secret(ask.tenant_id, secret) for name, secret in ask.secret_headers.items()},
        }
        request = Request(ask.method, ask.url, headers, base64.b64decode(ask.body))
        answer = _outbound().fetch(request, ask.seconds)
    except DomainError as error:
        raise named_error(error) from error
    return {"status": answer.status, "headers": dict(answer.headers), "body": answer.body}


def _secret(tenant_id: UUID, name: str) -> str:
    """Of the tenant alone: its id is in the secret's name."""
    from botocore.exceptions import BotoCoreError, ClientError

    prefix = OutboundSettings.from_environment().secrets_prefix
    try:
        answer = client("secretsmanager").get_secret_value(SecretId=f"{prefix}/tenants/{tenant_id}/{name}")
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            raise NotFound(f"There is no secret {name}.") from None
        raise Unavailable("The secret could not be read.") from None
    except BotoCoreError:
        raise Unavailable("The secret could not be read.") from None
    return str(answer["SecretString"])
