"""The function that sends requests of http.request, notifications and webhooks.

It is outside the VPC, with tenants' secrets, and without the database.

The handler of the action (actions.http_request) calls it; that handler knows the run and has checked the principal.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal
from uuid import UUID

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, Field, RootModel

from email_sender.adapters.aws.errors import AwsError, translate_aws_errors
from email_sender.adapters.web.access_tokens import AccessTokens
from email_sender.adapters.web.outbound_http import OutboundHttp, Request, Response, text_of
from email_sender.errors import Conflict, DomainError, NotFound
from email_sender.kit.aws_clients import client
from email_sender.kit.environment import Settings
from email_sender.kit.tasks.platform_step import platform_step
from email_sender.security.bound_secrets import BoundSecret, OAuth2, parse_secret
from email_sender.security.signed_requests import Auth, signed

# A file of this size, such as a picture that a model made, fits into an answer of Lambda and a request to the sandbox.
_MAX_NODE_BYTES = 3 * 1024 * 1024
_MAX_ANSWER_CHARACTERS = 5_500_000


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


class NodeRequest(BaseModel):
    """A request of a node of an n8n workflow. Whatever comes of it is an answer, also that nothing came.

    `body` is in Base64. The answer has status, headers, and `text`, or `base64` if the body is no text; or an `error`.
    """

    kind: Literal["node"]
    tenant_id: UUID
    method: str
    url: str
    headers: dict[str, str]
    auth: Auth | None = None
    body: str = ""
    seconds: Annotated[float, Field(gt=0, le=60)]
    redirects: Annotated[int, Field(ge=0, le=10)] = 0


class AnyRequest(RootModel[NodeRequest | OutboundRequest]):
    pass


@cache
def _outbound() -> OutboundHttp:
    return OutboundHttp()


@cache
def _access_tokens() -> AccessTokens:
    return AccessTokens(_outbound())


@platform_step(AnyRequest)
def handler(request: AnyRequest, _context: LambdaContext) -> dict[str, Any]:
    if isinstance(request.root, NodeRequest):
        return _answer_node(request.root)
    return _send(request.root)


def _send(outbound_request: OutboundRequest) -> dict[str, Any]:
    secrets = {
        header: _secret(outbound_request.tenant_id, name) for header, name in outbound_request.secret_headers.items()
    }
    for secret in secrets.values():
        secret.check(outbound_request.url)
        if not secret.value:
            raise Conflict(f"The secret {secret.name} has no value of its own, only headers and fields of the query.")
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


def _answer_node(node_request: NodeRequest) -> dict[str, Any]:
    try:
        return _send_of_node(node_request)
    except DomainError as error:
        return {"error": str(error)}


def _send_of_node(node_request: NodeRequest) -> dict[str, Any]:
    auth = node_request.auth
    if auth is None:
        return _exchange(node_request, node_request.url, node_request.headers)
    secret = _secret(node_request.tenant_id, auth.secret)
    node_request = node_request.model_copy(update={"url": secret.located(node_request.url)})
    # Before the secret is in it: what the URL says now is where it goes.
    secret.check(node_request.url)
    if auth.place == "custom" and not (secret.headers or secret.query):
        raise Conflict(f"The secret {secret.name} has no headers and no fields of the query, which this node sends.")
    if auth.place != "custom" and not secret.value:
        raise Conflict(f"The secret {secret.name} has no value, which this node sends.")
    if secret.oauth2 is None:
        url, headers, hidden = signed(auth, secret, secret.value, node_request.url, node_request.headers)
        return dict(_without(_exchange(node_request, url, headers), hidden))
    key = f"{node_request.tenant_id}/{auth.secret}"
    result = _exchange_with_token(node_request, auth, secret, secret.oauth2, key)
    if result.get("status") == 401:
        # The token was revoked before its time. The request was refused, so it can be sent again.
        _access_tokens().forget(key)
        result = _exchange_with_token(node_request, auth, secret, secret.oauth2, key)
    return result


def _exchange_with_token(
    node_request: NodeRequest, auth: Auth, secret: BoundSecret, oauth2: OAuth2, key: str
) -> dict[str, Any]:
    token = _access_tokens().get(key, secret, oauth2)
    url, headers, hidden = signed(auth, secret, token, node_request.url, node_request.headers)
    return dict(_without(_exchange(node_request, url, headers), [*hidden, secret.value]))


def _exchange(node_request: NodeRequest, url: str, headers: Mapping[str, str]) -> dict[str, Any]:
    request = Request(node_request.method, url, headers, base64.b64decode(node_request.body))
    response = _outbound().exchange(request, node_request.seconds, node_request.redirects, _MAX_NODE_BYTES)
    answer = {"status": response.status, "headers": dict(response.all_headers), **_body_of(response)}
    if len(response.content) > _MAX_ANSWER_CHARACTERS // 6 and len(json.dumps(answer)) > _MAX_ANSWER_CHARACTERS:
        return {"error": f"The response has more than {_MAX_ANSWER_CHARACTERS:,} characters as JSON."}
    return answer


def _body_of(response: Response) -> dict[str, str]:
    try:
        return {"text": text_of(response.content, response.headers.get("content-type", ""), "strict")}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(response.content).decode()}


def _without(value: Any, secrets: Sequence[str]) -> Any:
    """Return the value without the secrets: some servers repeat what they were sent, and a run shows the response."""
    if isinstance(value, str):
        for secret in filter(None, secrets):
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
