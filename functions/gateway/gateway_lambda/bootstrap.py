"""The composition root of the gateway functions. Objects are built once per execution environment."""

from functools import cache, partial
from typing import Literal

from email_sender.adapters.aws.cognito import CognitoTokenIssuer
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.metric_totals import PostgresMetricTotals
from email_sender.adapters.postgres.sign_ins import PostgresSignIns
from email_sender.adapters.web import probes
from email_sender.coordination.health import HealthService
from email_sender.coordination.manager_gate import ManagerGate
from email_sender.kit.aws_clients import client
from email_sender.kit.environment import DatabaseSettings, NonEmpty
from email_sender.kit.resources import database, manager_gate
from gateway_lambda.http.token_verifier import TokenVerifier


class Settings(DatabaseSettings):
    """`qdrant_health_url` is Qdrant's /healthz; `jwks_url` returns the public keys of the token issuer."""

    user_pool_client_id: str = ""
    """Cognito app client that signs users in."""
    passkeys: Literal["on", "off"] = "off"
    """Whether the user pool takes passkeys."""
    jwt_issuer: NonEmpty
    """Issuer of access tokens."""
    jwt_audience: NonEmpty
    """Client id that access tokens must have."""
    jwks_url: NonEmpty
    """URL of the issuer's public keys."""
    qdrant_health_url: NonEmpty
    """URL of Qdrant's `/healthz`."""
    sign_in_audit: Literal["on", "off"] = "off"
    """Whether sign-ins are written to the audit log; the role of the database must be gateway."""
    commit: str = "unknown"
    """Git commit of the deployment."""
    built_at: str = "unknown"
    """Build time of the deployment."""


@cache
def settings() -> Settings:
    return Settings.from_environment()


@cache
def issuer() -> CognitoTokenIssuer:
    current = settings()
    return CognitoTokenIssuer(
        lambda: client("cognito-idp"), current.user_pool_client_id, has_passkeys=current.passkeys == "on"
    )


@cache
def verifier() -> TokenVerifier:
    current_settings = settings()
    return TokenVerifier(current_settings.jwks_url, current_settings.jwt_issuer, current_settings.jwt_audience)


@cache
def _database() -> Database:
    return database(settings())


@cache
def sign_in_log() -> PostgresSignIns | None:
    """Return the log of sign-ins, or None if this deployment has no role for it."""
    return PostgresSignIns(_database()) if settings().sign_in_audit == "on" else None


@cache
def health_service() -> HealthService:
    return HealthService(
        {
            "postgresql": partial(probes.probe_postgres, _database()),
            "qdrant": partial(probes.probe_http, settings().qdrant_health_url),
        }
    )


@cache
def metric_totals() -> PostgresMetricTotals:
    return PostgresMetricTotals(_database())


@cache
def gate() -> ManagerGate:
    return manager_gate(_database())
