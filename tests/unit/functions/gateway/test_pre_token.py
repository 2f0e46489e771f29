"""Tests for the claims that Cognito's pre-token trigger adds to an access token."""

from typing import Any

import pytest

from email_sender.security.permissions import GRANTS, Role
from gateway_lambda.events.pre_token import handler

TENANT = "01930000-0000-7000-8000-00000000000a"


def trigger(**attributes: str) -> dict[str, Any]:
    return handler({"version": "2", "request": {"userAttributes": {"sub": "1", **attributes}}}, None)


@pytest.mark.parametrize("role", list(Role))
def test_tenant_role_and_scopes_are_added_and_the_self_service_scope_is_suppressed(role: Role) -> None:
    event = trigger(**{"custom:tenant_id": TENANT, "custom:role": role})
    generation = event["response"]["claimsAndScopeOverrideDetails"]["accessTokenGeneration"]
    assert generation == {
        "claimsToAddOrOverride": {"tenant_id": TENANT, "role": role},
        "scopesToAdd": sorted(GRANTS[role]),
        "scopesToSuppress": ["aws.cognito.signin.user.admin"],
    }


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"custom:tenant_id": TENANT},
        {"custom:role": "admin"},
        {"custom:tenant_id": "acme", "custom:role": "admin"},
        {"custom:tenant_id": TENANT, "custom:role": "root"},
        {"tenant_id": TENANT, "role": "admin"},
    ],
)
def test_a_user_without_a_tenant_or_a_role_gets_no_token(attributes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="no tenant or no role"):
        trigger(**attributes)
