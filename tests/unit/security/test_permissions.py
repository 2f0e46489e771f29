"""Tests that the table of roles matches the contract exactly."""

import pytest

from email_sender.errors import Forbidden
from email_sender.security.permissions import GRANTS, Permission, Role, allows, require

READ = {"vectors:read", "workflows:read", "messaging:read", "events:read"}
WRITE = {"vectors:write", "workflows:write", "workflows:execute", "messaging:write", "events:publish"}
MANAGE = {"messaging:send", "workflows:approve", "tenant:manage", "audit:read", "notifications:manage"}
PLATFORM = {"platform:read", "platform:operate"}
CONTRACT = {
    "readonly": READ,
    "user": READ | WRITE,
    "admin": READ | WRITE | MANAGE,
    # The audit:read, events:read and notifications:manage permissions of the platform's own tenant.
    "operator": PLATFORM | {"audit:read", "events:read", "notifications:manage"},
}


def test_each_role_has_the_permissions_of_the_contract_and_no_other() -> None:
    assert {
        str(role): {str(permission) for permission in permissions} for role, permissions in GRANTS.items()
    } == CONTRACT


def test_every_permission_is_granted_to_some_role() -> None:
    assert {str(permission) for permission in Permission} == READ | WRITE | MANAGE | PLATFORM


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("permission", list(Permission))
def test_a_permission_that_is_not_granted_is_refused_by_name(role: Role, permission: Permission) -> None:
    is_granted = str(permission) in CONTRACT[str(role)]
    assert allows(role, permission) is is_granted
    if is_granted:
        require(role, permission)
    else:
        with pytest.raises(Forbidden, match=str(permission)):
            require(role, permission)
