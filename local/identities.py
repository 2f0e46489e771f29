"""The users of the local cloud: one of each role in each tenant, and an operator, with passwords made at each start."""

import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from email_sender.coordination.events import PLATFORM_TENANT
from email_sender.security.permissions import Role
from local.database import TENANTS

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient


@dataclass(frozen=True, slots=True)
class User:
    username: str
    password: str
    tenant: str
    tenant_id: str
    role: str

    def shown(self) -> dict[str, str]:
        return asdict(self)


def sign_up_all(client: "CognitoIdentityProviderClient", pool: str) -> Sequence[User]:
    """Make the users, or give those that are there a new password."""
    wanted = [
        _user(f"{role}@{tenant.name}", tenant.name, tenant.id, role)
        for tenant in TENANTS
        for role in (Role.READONLY, Role.USER, Role.ADMIN)
    ]
    wanted.append(_user("operator@platform", "platform", PLATFORM_TENANT, Role.OPERATOR))
    for user in wanted:
        _sign_up(client, pool, user)
    return wanted


def _user(username: str, tenant: str, tenant_id: UUID, role: Role) -> User:
    # Upper case, lower case and a digit, as the pool's policy wants.
    return User(username, f"Aa1-{secrets.token_urlsafe(18)}", tenant, str(tenant_id), str(role))


def _sign_up(client: "CognitoIdentityProviderClient", pool: str, user: User) -> None:
    # Kept from an earlier start, a user needs nothing but a new password.
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
    client.admin_set_user_password(UserPoolId=pool, Username=user.username, Password=user.password, Permanent=True)
