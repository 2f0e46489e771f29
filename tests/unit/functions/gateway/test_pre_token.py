"""Tests for the claims that Cognito's pre-token trigger adds to an access token."""

from typing import Any

import pytest

from email_sender.kit import aws_clients
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


class Users:
    """A user pool with one user, who has these second factors."""

    def __init__(self, factors: list[str]) -> None:
        self.factors = factors

    def admin_get_user(self, *, UserPoolId: str, Username: str) -> dict[str, Any]:
        assert (UserPoolId, Username) == ("pool", "ann")
        return {"UserMFASettingList": self.factors} if self.factors else {}


@pytest.mark.parametrize(
    ("role", "factors", "is_restricted"),
    [
        (Role.ADMIN, [], True),
        (Role.OPERATOR, [], True),
        (Role.ADMIN, ["SOFTWARE_TOKEN_MFA"], False),
        (Role.USER, [], False),
        (Role.READONLY, [], False),
    ],
)
def test_admins_and_operators_without_a_second_factor_get_a_token_for_setting_one_up(
    role: Role, factors: list[str], is_restricted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECOND_FACTOR", "required")
    monkeypatch.setattr(aws_clients, "client", lambda _service: Users(factors))
    attributes = {"sub": "1", "custom:tenant_id": TENANT, "custom:role": role}
    event = {"version": "2", "userPoolId": "pool", "userName": "ann", "request": {"userAttributes": attributes}}
    generation = handler(event, None)["response"]["claimsAndScopeOverrideDetails"]["accessTokenGeneration"]
    assert (generation["claimsToAddOrOverride"].get("second_factor") == "missing") == is_restricted
    assert ("scopesToAdd" not in generation) == is_restricted
