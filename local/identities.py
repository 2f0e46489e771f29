"""The users of the local cloud: one for each role in each tenant, and an operator. Each start sets new passwords."""

import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from email_sender.adapters.aws.cognito_members import CognitoMembers
from email_sender.coordination.events import PLATFORM_TENANT
from email_sender.security.permissions import Role
from local.database import Tenant

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient


@dataclass(frozen=True, slots=True)
class User:
    username: str
    password: str
    tenant: str
    tenant_id: str
    role: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def sign_up_all(client: "CognitoIdentityProviderClient", pool: str, tenants: Sequence[Tenant]) -> Sequence[User]:
    """Create the users that do not exist yet, set a new password for each, and return them."""
    users = [user for tenant in tenants for user in _users_of(tenant)]
    users.append(_user("operator@platform", "platform", PLATFORM_TENANT, Role.OPERATOR))
    for user in users:
        _sign_up(client, pool, user)
    return users


def sign_up_tenant(client: "CognitoIdentityProviderClient", pool: str, tenant: Tenant) -> Sequence[User]:
    """Create one user of each role for a tenant, and return them."""
    users = _users_of(tenant)
    for user in users:
        _sign_up(client, pool, user)
    return users


def _users_of(tenant: Tenant) -> list[User]:
    return [
        _user(f"{role}@{tenant.name}", tenant.name, tenant.id, role) for role in (Role.READONLY, Role.USER, Role.ADMIN)
    ]


def _user(username: str, tenant: str, tenant_id: UUID, role: Role) -> User:
    # Upper case, lower case and a digit, as the pool's password policy requires.
    return User(username, f"Aa1-{secrets.token_urlsafe(18)}", tenant, str(tenant_id), str(role))


def _sign_up(client: "CognitoIdentityProviderClient", pool: str, user: User) -> None:
    # A user of an earlier start needs only a new password.
    with suppress(client.exceptions.UsernameExistsException):
        client.admin_create_user(
            UserPoolId=pool,
            Username=user.username,
            UserAttributes=[
                {"Name": "custom:tenant_id", "Value": user.tenant_id},
                {"Name": "custom:role", "Value": user.role},
            ],
            MessageAction="SUPPRESS",
        )
    if user.role != Role.OPERATOR:
        CognitoMembers(lambda: client, pool).add_to_group(UUID(user.tenant_id), user.username)
    client.admin_set_user_password(UserPoolId=pool, Username=user.username, Password=user.password, Permanent=True)
