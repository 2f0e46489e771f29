"""Roles and their permissions. Routes, workflow actions and tests read this table."""

from collections.abc import Mapping
from enum import StrEnum

from email_sender.errors import Forbidden


class Role(StrEnum):
    READONLY = "readonly"
    USER = "user"
    ADMIN = "admin"
    OPERATOR = "operator"


class Permission(StrEnum):
    VECTORS_READ = "vectors:read"
    VECTORS_WRITE = "vectors:write"
    WORKFLOWS_READ = "workflows:read"
    WORKFLOWS_WRITE = "workflows:write"
    WORKFLOWS_EXECUTE = "workflows:execute"
    WORKFLOWS_APPROVE = "workflows:approve"
    MESSAGING_READ = "messaging:read"
    MESSAGING_WRITE = "messaging:write"
    MESSAGING_SEND = "messaging:send"
    NOTIFICATIONS_MANAGE = "notifications:manage"
    EVENTS_READ = "events:read"
    EVENTS_PUBLISH = "events:publish"
    TENANT_MANAGE = "tenant:manage"
    AUDIT_READ = "audit:read"
    PLATFORM_READ = "platform:read"
    PLATFORM_OPERATE = "platform:operate"


_READONLY = frozenset(
    {Permission.VECTORS_READ, Permission.WORKFLOWS_READ, Permission.MESSAGING_READ, Permission.EVENTS_READ}
)
_USER = _READONLY | {
    Permission.VECTORS_WRITE,
    Permission.WORKFLOWS_WRITE,
    Permission.WORKFLOWS_EXECUTE,
    Permission.MESSAGING_WRITE,
    Permission.EVENTS_PUBLISH,
}
_ADMIN = _USER | {
    Permission.MESSAGING_SEND,
    Permission.WORKFLOWS_APPROVE,
    Permission.TENANT_MANAGE,
    Permission.AUDIT_READ,
    Permission.NOTIFICATIONS_MANAGE,
}
# The operator belongs to the platform's tenant: events:read shows the platform's events, not a tenant's content.
_OPERATOR = frozenset(
    {
        Permission.PLATFORM_READ,
        Permission.PLATFORM_OPERATE,
        Permission.AUDIT_READ,
        Permission.EVENTS_READ,
        Permission.NOTIFICATIONS_MANAGE,
    }
)

GRANTS: Mapping[Role, frozenset[Permission]] = {
    Role.READONLY: _READONLY,
    Role.USER: _USER,
    Role.ADMIN: _ADMIN,
    Role.OPERATOR: _OPERATOR,
}


def allows(role: Role, permission: Permission) -> bool:
    return permission in GRANTS[role]


def weaker(first: Role, second: Role) -> Role:
    """Return the role that has no permission which the other lacks. Raise Forbidden if each has one of its own."""
    if GRANTS[first] <= GRANTS[second]:
        return first
    if GRANTS[second] <= GRANTS[first]:
        return second
    raise Forbidden(f"The roles {first} and {second} have no permissions in common that a run could have.")


def require(role: Role, permission: Permission) -> None:
    """Raise Forbidden if the role does not have the permission. The error names only the permission and the role."""
    if not allows(role, permission):
        raise Forbidden(f"This requires the permission {permission}, which the role {role} does not have.")
