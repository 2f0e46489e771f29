"""Cognito's pre token generation trigger (version 2): adds tenant, role and scopes to the access token.

The values come from attributes that only an administrator can write. A user without them gets no token.
"""

from typing import Any
from uuid import UUID

from email_sender.security.permissions import GRANTS, Role

# This scope would let users change their own attributes.
_SUPPRESSED_SCOPE = "aws.cognito.signin.user.admin"


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    attributes = event["request"]["userAttributes"]
    try:
        tenant_id, role = UUID(attributes["custom:tenant_id"]), Role(attributes["custom:role"])
    except (KeyError, ValueError):
        raise ValueError("The user has no tenant or no role.") from None
    event["response"] = {
        "claimsAndScopeOverrideDetails": {
            "accessTokenGeneration": {
                "claimsToAddOrOverride": {"tenant_id": str(tenant_id), "role": str(role)},
                "scopesToAdd": sorted(str(permission) for permission in GRANTS[role]),
                "scopesToSuppress": [_SUPPRESSED_SCOPE],
            }
        }
    }
    return event
