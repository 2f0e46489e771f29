"""Which buckets a request takes tokens from, and the headers that tell the client."""

import time
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from typing import Annotated, Any

from pydantic import Field
from starlette.types import Scope

from email_sender.adapters.aws.dynamodb_buckets import DynamoDbBuckets
from email_sender.kit.api_paths import BASE_PATH
from email_sender.kit.aws_clients import client
from email_sender.kit.claims import tenant_of
from email_sender.kit.environment import Settings
from email_sender.kit.telemetry import logger
from email_sender.security.rate_limits import Bucket, Limit, RateLimiter, Standing

# A table that does not answer must not slow requests down.
_TABLE_SECONDS = 1
_SIGN_IN = tuple(
    f"{BASE_PATH}/auth/{name}"
    for name in ("token", "refresh", "password", "logout", "totp", "totp/setup", "totp/confirm")
)

PerMinute = Annotated[int, Field(ge=1, le=10_000_000)]


class LimitSettings(Settings):
    limits_table: str = ""
    """DynamoDB table of limits; empty: no limits."""
    requests_per_client: PerMinute = 1_000
    """Requests a minute of one user."""
    requests_per_tenant: PerMinute = 5_000
    """Requests a minute of all users of a tenant."""
    requests_per_address: PerMinute = 1_000
    """Requests a minute without a token from one IP address."""
    sign_ins_per_address: PerMinute = 60
    """Attempts to sign in a minute from one IP address."""
    sign_ins_per_account: PerMinute = 10
    """Attempts to sign in a minute to one account."""
    trusted_proxies: Annotated[int, Field(ge=0, le=5)] = 0
    """Proxies in front of the API that add the caller's IP address to X-Forwarded-For."""


@cache
def limit_settings() -> LimitSettings:
    return LimitSettings.from_environment()


@cache
def rate_limiter() -> RateLimiter | None:
    """Return the limiter of this execution environment, or None without a table."""
    table = limit_settings().limits_table
    if not table:
        return None
    buckets = DynamoDbBuckets(lambda: client("dynamodb", max_attempts=1, read_seconds=_TABLE_SECONDS), table)
    return RateLimiter(buckets, time.time, lambda: logger.warning("the table of limits did not respond"))


def take_tokens(scope: Scope) -> Standing | None:
    """Take a token from each bucket of the request. Return the lowest standing, or None without limits.

    Raises:
        RateLimited: a bucket is empty.
    """
    limiter = rate_limiter()
    return None if limiter is None else limiter.take(buckets_of(scope, limit_settings()))


def take_sign_in(username: str) -> None:
    """Take a token from the bucket of an account, whether or not it exists. Raises RateLimited."""
    limiter = rate_limiter()
    if limiter is not None:
        account = sha256(username.strip().lower().encode()).hexdigest()[:32]
        limiter.take([Bucket(_limit("account", limit_settings().sign_ins_per_account), account)])


def buckets_of(scope: Scope, settings: LimitSettings) -> Sequence[Bucket]:
    """Return the buckets of a request: those of its user and tenant, or that of its IP address if it has no token."""
    context: Mapping[str, Any] = scope.get("aws.event", {}).get("requestContext", {})
    claims = context.get("authorizer", {}).get("jwt", {}).get("claims") or {}
    if claims.get("sub") and (tenant := tenant_of(claims)):
        client_limit, tenant_limit = settings.requests_per_client, settings.requests_per_tenant
        return [
            Bucket(_limit("client", client_limit), f"{tenant}/{claims['sub']}"),
            Bucket(_limit("tenant", tenant_limit), tenant),
        ]
    # An IP address is personal, and nobody has to read it back.
    address = sha256(_address(scope, context, settings.trusted_proxies).encode()).hexdigest()[:32]
    if scope["path"] in _SIGN_IN:
        return [Bucket(_limit("sign-in", settings.sign_ins_per_address), address)]
    return [Bucket(_limit("address", settings.requests_per_address), address)]


def limit_headers(standing: Standing) -> list[tuple[bytes, bytes]]:
    """Return RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers)."""
    limit = standing.limit
    return [
        (b"ratelimit-policy", f'"{limit.name}";q={limit.per_minute};w=60'.encode()),
        (b"ratelimit", f'"{limit.name}";r={standing.left};t=60'.encode()),
    ]


def _limit(name: str, per_minute: int) -> Limit:
    """A tenth of a minute's requests may come at once, so that 1,000 a minute allow bursts of 100."""
    return Limit(name, per_minute, max(10, per_minute // 10))


def _address(scope: Scope, context: Mapping[str, Any], trusted_proxies: int) -> str:
    source = str(context.get("http", {}).get("sourceIp", ""))
    if not trusted_proxies:
        return source
    forwarded = dict(scope["headers"]).get(b"x-forwarded-for", b"").decode("latin-1").split(",")
    # Each proxy appends the address that it saw; whatever stands before was sent by the client.
    return forwarded[-1 - trusted_proxies].strip() if len(forwarded) > trusted_proxies else source
