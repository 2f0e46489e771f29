"""The pre-token trigger: the user's tenant and role become claims of the access token."""

from typing import Any


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    attributes = event["request"]["userAttributes"]
    claims = {
        "tenant_id": attributes.get("custom:tenant_id", ""),
        "role": attributes.get("custom:role", ""),
    }
    event["response"] = {
        "claimsAndScopeOverrideDetails": {
            "accessTokenGeneration": {
                "claimsToAddOrOverride": claims,
                "scopesToAdd": ["sample/write"] if claims["role"] == "admin" else [],
                "scopesToSuppress": ["aws.cognito.signin.user.admin"],
            }
        }
    }
    return event
