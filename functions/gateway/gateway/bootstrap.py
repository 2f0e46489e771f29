"""The composition root of the gateway functions. Objects are built once per execution environment."""

from functools import cache, partial

from email_sender.adapters import probes
from email_sender.adapters.cloudwatch import CloudWatchMetrics
from email_sender.adapters.cognito import CognitoTokenIssuer
from email_sender.adapters.postgres.database import Database
from email_sender.coordination.gate import ManagerGate
from email_sender.coordination.health import HealthService
from email_sender.kit.clients import client
from email_sender.kit.config import DatabaseSettings, NonEmpty
from email_sender.kit.gate import manager_gate
from email_sender.kit.resources import database
from email_sender.kit.telemetry import NAMESPACE
from gateway.tokens import TokenVerifier


class Settings(DatabaseSettings):
    """`qdrant_health_url` is Qdrant's /healthz; `jwks_url` returns the public keys of the token issuer."""

    user_pool_client_id: str = ""
    jwt_issuer: NonEmpty
    jwt_audience: NonEmpty
    jwks_url: NonEmpty
    qdrant_health_url: NonEmpty
    commit: str = "unknown"
    built_at: str = "unknown"


@cache
def settings() -> Settings:
    return Settings.from_environment()


@cache
def issuer() -> CognitoTokenIssuer:
    return CognitoTokenIssuer(lambda: client("cognito-idp"), settings().user_pool_client_id)


@cache
def verifier() -> TokenVerifier:
    current_settings = settings()
    return TokenVerifier(current_settings.jwks_url, current_settings.jwt_issuer, current_settings.jwt_audience)


@cache
def _database() -> Database:
    return database(settings())


@cache
def health_service() -> HealthService:
    return HealthService(
        {
            "postgresql": partial(probes.probe_postgres, _database()),
            "qdrant": partial(probes.probe_http, settings().qdrant_health_url),
        }
    )


@cache
def metrics_reader() -> CloudWatchMetrics:
    return CloudWatchMetrics(lambda: client("cloudwatch"), NAMESPACE)


@cache
def gate() -> ManagerGate:
    return manager_gate(_database())
