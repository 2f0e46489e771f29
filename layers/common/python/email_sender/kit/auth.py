"""Who is asking: from claims that API Gateway's authorizer verified, and from nothing else.

The authorizer checks signature, issuer, audience and expiry. It lets an ID token pass, and one without `exp` on some
issuers, so both are refused here again.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fastapi import Request

from email_sender.errors import Forbidden, Unauthenticated
from email_sender.security.permissions import Permission, Role, require


@dataclass(frozen=True, slots=True)
class Principal:
    subject: str
    tenant_id: UUID
    role: Role


def principal_from(claims: Mapping[str, Any]) -> Principal:
    """Raises Unauthenticated for a token that is not a current access token of ours."""
    if claims.get("token_use") != "access":
        raise Unauthenticated("This is not an access token.")
    try:
        expires = int(claims["exp"])
        principal = Principal(str(claims["sub"]), UUID(str(claims["tenant_id"])), Role(str(claims["role"])))
    except (KeyError, ValueError, TypeError, OverflowError):
        raise Unauthenticated("The token lacks a claim this API needs: sub, tenant_id, role or exp.") from None
    if expires <= time.time():
        raise Unauthenticated("The token has expired.")
    return principal


class Requires:
    """A dependency that answers with the caller, or refuses.

    A tenant named by header or query is never used, and refused where it differs: a client that sends one believes it
    chooses.
    """

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    async def __call__(self, request: Request) -> Principal:
        principal = caller_of(request)
        for named in (request.headers.get("x-tenant-id"), request.query_params.get("tenant_id")):
            if named is not None and named != str(principal.tenant_id):
                raise Forbidden("The token belongs to another tenant than the one named.")
        require(principal.role, self.permission)
        return principal


def caller_of(request: Request) -> Principal:
    event = request.scope.get("aws.event", {})
    claims = event.get("requestContext", {}).get("authorizer", {}).get("jwt", {}).get("claims")
    if not claims:
        raise Unauthenticated("A bearer access token is needed.")
    return principal_from(claims)
