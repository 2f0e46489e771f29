"""Where tokens have the tenant and the role. An issuer of the operators' own may have them under other names."""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

from pydantic import Field

from email_sender.kit.environment import NonEmpty, Settings
from email_sender.security.permissions import Role

_PREFIX = "email-sender-"


class ClaimSettings(Settings):
    stage: str = ""
    """The stage of the deployment: dev, staging, prod or local."""
    tenant_claim: NonEmpty = "tenant_id"
    """Claim of access tokens with the tenant's id."""
    role_claim: NonEmpty = "role"
    """Claim of access tokens with the role, or with a list that has the role in it, such as groups."""
    token_use: Annotated[str, Field(pattern=r"^(access)?$")] = "access"  # noqa: S105  # a kind of token
    """What the claim `token_use` must be; empty: the issuer has no such claim."""


@cache
def claim_settings() -> ClaimSettings:
    return ClaimSettings.from_environment()


def tenant_of(claims: Mapping[str, Any]) -> str:
    """Return the tenant's id, or "" if the token has none."""
    return str(claims.get(claim_settings().tenant_claim, ""))


def role_of(claims: Mapping[str, Any]) -> str:
    """Return the role, or "" if the token has none. Of a list, it is the strongest role in it.

    In a list, roles are named `email-sender-admin` and so on: API Gateway passes a list on as text, such as
    `[staff email-sender-admin]`, in which nobody can tell where the name of a group with spaces ends.
    """
    value = claims.get(claim_settings().role_claim, "")
    if isinstance(value, str) and not value.startswith("["):
        return value
    names = value if isinstance(value, list) else str(value).strip("[]").split()
    return next((str(role) for role in reversed(Role) if f"{_PREFIX}{role}" in names), "")


def is_access_token(claims: Mapping[str, Any]) -> bool:
    """Return whether the token is for access, and not an ID token. Another issuer's ID token has another audience."""
    return bool(claims.get("token_use", "" if claim_settings().token_use else "access") == "access")
