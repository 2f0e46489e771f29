"""Cognito's pre token generation trigger (version 2): adds tenant, role and scopes to the access token.

The values come from attributes that only an administrator can write. A user without them gets no token. Where roles
need a second factor, whoever has none gets a token that is good for setting one up, and for nothing else.
"""

import os
from typing import Any
from uuid import UUID

from email_sender.security.permissions import GRANTS, Role

# This scope would let users change their own attributes.
_SUPPRESSED_SCOPE = "aws.cognito.signin.user.admin"
_NEED_SECOND_FACTOR = frozenset({Role.ADMIN, Role.OPERATOR})


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    attributes = event["request"]["userAttributes"]
    try:
        tenant_id, role = UUID(attributes["custom:tenant_id"]), Role(attributes["custom:role"])
    except (KeyError, ValueError):
        raise ValueError("The user has no tenant or no role.") from None
    claims = {"tenant_id": str(tenant_id), "role": str(role)}
    if _lacks_second_factor(event, role):
        # With Cognito's own scope, which the calls that set up an authenticator app need.
        generation: dict[str, Any] = {"claimsToAddOrOverride": {**claims, "second_factor": "missing"}}
    else:
        generation = {
            "claimsToAddOrOverride": claims,
            "scopesToAdd": sorted(str(permission) for permission in GRANTS[role]),
            "scopesToSuppress": [_SUPPRESSED_SCOPE],
        }
    event["response"] = {"claimsAndScopeOverrideDetails": {"accessTokenGeneration": generation}}
    return event


def _lacks_second_factor(event: dict[str, Any], role: Role) -> bool:
    """Return whether the role needs a second factor that the user has not set up.

    A user who has one was asked for a code at sign-in. Sessions that began before end when it is set up.
    """
    if os.environ.get("SECOND_FACTOR") != "required" or role not in _NEED_SECOND_FACTOR:
        return False
    # Imported late: most deployments in development do not need it.
    from email_sender.kit.aws_clients import client

    user = client("cognito-idp").admin_get_user(UserPoolId=event["userPoolId"], Username=event["userName"])
    return not user.get("UserMFASettingList")
