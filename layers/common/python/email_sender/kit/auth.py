"""The caller's identity, read only from claims that API Gateway's authorizer has verified.

The authorizer checks signature, issuer, audience and expiry. It accepts ID tokens, however, and for some issuers tokens
without `exp`. This module rejects both.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fastapi import Request

from email_sender import tracing
from email_sender.coordination.events import PLATFORM_TENANT
from email_sender.errors import Forbidden, Unauthenticated
from email_sender.kit.claims import is_access_token, role_of, tenant_of
from email_sender.kit.query_parameters import reject_unknown_parameters
from email_sender.kit.telemetry import logger
from email_sender.security.acting import act_as
from email_sender.security.permissions import Permission, Role, require


@dataclass(frozen=True, slots=True)
class Principal:
    subject: str
    tenant_id: UUID
    role: Role


def principal_from(claims: Mapping[str, Any]) -> Principal:
    """Return the caller that the claims describe.

    Raises:
        Unauthenticated: the token is not a valid access token of this platform.
        Forbidden: the role needs a second factor, and the caller has none yet.
    """
    if not is_access_token(claims):
        raise Unauthenticated("The token is not an access token.")
    try:
        expires_at = int(claims["exp"])
        principal = Principal(str(claims["sub"]), UUID(tenant_of(claims)), Role(role_of(claims)))
    except (KeyError, ValueError, TypeError, OverflowError):
        raise Unauthenticated(
            "The token needs a subject, a tenant, a role and an expiry (claims sub, tenant_id, role and exp)."
        ) from None
    if principal.role is Role.OPERATOR and principal.tenant_id != PLATFORM_TENANT:
        raise Unauthenticated("Operators belong to the tenant of the platform.")
    if expires_at <= time.time():
        raise Unauthenticated("The token has expired.")
    if claims.get("second_factor") == "missing":
        raise Forbidden(f"The role {principal.role} needs a second factor. Set it up with POST /auth/totp/setup.")
    return principal


class Requires:
    """A FastAPI dependency that returns the caller if the caller's role has the permission.

    The tenant always comes from the token. A request that names a different tenant in a header or in the query is
    rejected instead of ignored, because its client believes that it can choose the tenant. Unknown query parameters are
    rejected too. Public routes ignore them, because mail programs and other senders add their own.
    """

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    async def __call__(self, request: Request) -> Principal:
        principal = caller_of(request)
        act_as(principal.subject)
        logger.append_keys(tenant_id=str(principal.tenant_id))
        tracing.describe(tenant__id=str(principal.tenant_id))
        for requested_tenant in (request.headers.get("x-tenant-id"), request.query_params.get("tenant_id")):
            if requested_tenant is not None and requested_tenant != str(principal.tenant_id):
                raise Forbidden("The token belongs to a different tenant than the one that the request names.")
        self._require(request, principal)
        # The middleware masks the whole response (kit.masking).
        request.scope["masks_addresses"] = principal.role is Role.READONLY
        reject_unknown_parameters(request)
        return principal

    def _require(self, request: Request, principal: Principal) -> None:
        try:
            require(principal.role, self.permission)
        except Forbidden:
            denials = getattr(request.app.state, "denials", None)
            if denials is not None:
                route = f"{request.method} {request.scope['route'].path}"
                denials().report(principal.tenant_id, principal.subject, principal.role, self.permission, route)
            raise


def caller_of(request: Request) -> Principal:
    """Return the caller of the request.

    Raises:
        Unauthenticated: there is no token, or it is not a valid access token.
    """
    event = request.scope.get("aws.event", {})
    claims = event.get("requestContext", {}).get("authorizer", {}).get("jwt", {}).get("claims")
    if not claims:
        raise Unauthenticated("Send an access token as a bearer token in the Authorization header.")
    return principal_from(claims)
