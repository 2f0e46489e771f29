"""The composition root: what this area's functions are built of, once a sandbox."""

from functools import cache, partial

from email_sender.adapters import probes
from email_sender.adapters.cloudwatch import CloudWatchMetrics
from email_sender.adapters.cognito import CognitoIssuer
from email_sender.adapters.postgres.database import Database
from email_sender.coordination.gate import Gate
from email_sender.coordination.health import HealthService
from email_sender.kit.clients import client
from email_sender.kit.config import DatabaseSettings, NonEmpty
from email_sender.kit.gate import gate_of
from email_sender.kit.resources import database
from email_sender.kit.telemetry import NAMESPACE
from gateway.tokens import TokenVerifier


class Settings(DatabaseSettings):
    """`qdrant_health_url` is the engine's /healthz; `jwks_url` holds the issuer's public keys."""

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
def issuer() -> CognitoIssuer:
    return CognitoIssuer(lambda: client("cognito-idp"), settings().user_pool_client_id)


@cache
def verifier() -> TokenVerifier:
    known = settings()
    return TokenVerifier(known.jwks_url, known.jwt_issuer, known.jwt_audience)


@cache
def _database() -> Database:
    return database(settings())


@cache
def health_service() -> HealthService:
    return HealthService(
        {
            "postgresql": partial(probes.postgres, _database()),
            "qdrant": partial(probes.http, settings().qdrant_health_url),
        }
    )


@cache
def metrics_reader() -> CloudWatchMetrics:
    return CloudWatchMetrics(lambda: client("cloudwatch"), NAMESPACE)


@cache
def gate() -> Gate:
    return gate_of(_database())
