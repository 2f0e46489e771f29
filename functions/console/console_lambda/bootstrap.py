"""The composition root of the console. Objects are built once per execution environment."""

from functools import cache
from typing import Literal

from console_lambda.api import ApiConnection
from console_lambda.dynamodb_sessions import DynamoDbSessions
from console_lambda.openid import OpenIdProvider
from console_lambda.sessions import Sessions
from email_sender.kit.aws_clients import client
from email_sender.kit.environment import NonEmpty, Settings
from email_sender.kit.system_clock import now


class ConsoleSettings(Settings):
    api_url: NonEmpty
    """The public address of the API, without its base path."""
    sessions_table: NonEmpty
    """DynamoDB table with the sessions of the console."""
    client_id: NonEmpty
    """The console's client at the OpenID provider."""
    openid_configuration_url: NonEmpty
    """The OpenID provider's description of itself."""
    uploads_origin: str = ""
    """The origin to which browsers upload files."""
    passkeys: Literal["on", "off"] = "off"


@cache
def settings() -> ConsoleSettings:
    return ConsoleSettings.from_environment()


def has_passkeys() -> bool:
    return settings().passkeys == "on"


@cache
def provider() -> OpenIdProvider:
    current = settings()
    return OpenIdProvider(current.openid_configuration_url, current.client_id, f"{current.api_url}/console")


@cache
def sessions() -> Sessions:
    return Sessions(DynamoDbSessions(lambda: client("dynamodb"), settings().sessions_table), provider(), now)


@cache
def connection() -> ApiConnection:
    return ApiConnection(settings().api_url)
