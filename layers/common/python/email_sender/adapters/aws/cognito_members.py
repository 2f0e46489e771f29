"""The people of tenants in a Cognito user pool. Implements security.members.MemberDirectory.

Cognito cannot list users by an attribute of ours. Each tenant therefore has a group, named like its id. The attributes
decide what a person may do; the group only lists them.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID

from email_sender.adapters.aws.cognito import knows_passkeys
from email_sender.adapters.aws.errors import AwsError, translate_aws_errors
from email_sender.errors import Conflict, InvalidInput, NotFound, NotSupported
from email_sender.paging import Page
from email_sender.security.members import MEMBER_ROLES, Member, MemberStatus
from email_sender.security.permissions import Role

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient

_UNAVAILABLE = "The user pool did not respond. Try again later."
# Cognito lists at most this many users in a call.
_MAX_PAGE = 60


class CognitoMembers:
    def __init__(
        self, client: Callable[[], "CognitoIdentityProviderClient"], pool: str, *, has_passkeys: bool = False
    ) -> None:
        self._make_client, self._pool, self._has_passkeys = client, pool, has_passkeys

    @property
    def _client(self) -> "CognitoIdentityProviderClient":
        if not self._pool:
            raise NotSupported("The people of this deployment are known to another issuer. Manage them there.")
        return self._make_client()

    def page(self, tenant_id: UUID, cursor: str | None, limit: int) -> Page[Member]:
        arguments: dict[str, Any] = {"NextToken": cursor} if cursor else {}
        try:
            with translate_aws_errors(_UNAVAILABLE, _translate):
                found = self._client.list_users_in_group(
                    UserPoolId=self._pool, GroupName=str(tenant_id), Limit=min(limit, _MAX_PAGE), **arguments
                )
        except NotFound:
            return Page([], None)
        members = [
            _member(user, user["Attributes"]) for user in found["Users"] if _is_of(tenant_id, user["Attributes"])
        ]
        return Page(members, found.get("NextToken"))

    def find(self, tenant_id: UUID, member_id: str) -> Member | None:
        try:
            with translate_aws_errors(_UNAVAILABLE, _translate):
                user = self._client.admin_get_user(UserPoolId=self._pool, Username=member_id)
        except (NotFound, InvalidInput):
            return None
        return _member(user, user["UserAttributes"]) if _is_of(tenant_id, user["UserAttributes"]) else None

    def invite(self, tenant_id: UUID, email: str, role: Role) -> Member:
        attributes = {"custom:tenant_id": str(tenant_id), "custom:role": str(role), "email": email}
        # A pool that signs people in by their address accepts no address as a username.
        username = email.replace("@", ".at.")
        interrupted = self.find(tenant_id, username)
        if interrupted is not None and interrupted.role is role and interrupted.status is MemberStatus.INVITED:
            # An earlier call may have died before the user was in the group.
            self.add_to_group(tenant_id, username)
            return interrupted
        with translate_aws_errors(_UNAVAILABLE, _translate):
            user = self._client.admin_create_user(
                UserPoolId=self._pool,
                Username=username,
                UserAttributes=[
                    {"Name": name, "Value": value} for name, value in {**attributes, "email_verified": "true"}.items()
                ],
                DesiredDeliveryMediums=["EMAIL"],
            )["User"]
        self.add_to_group(tenant_id, user["Username"])
        return _member(user, user["Attributes"])

    def add_to_group(self, tenant_id: UUID, username: str) -> None:
        """Let the tenant's list have a user. Repeatable."""
        client, group = self._client, str(tenant_id)
        try:
            with translate_aws_errors(_UNAVAILABLE, _translate):
                client.admin_add_user_to_group(UserPoolId=self._pool, GroupName=group, Username=username)
        except NotFound:
            with translate_aws_errors(_UNAVAILABLE, _translate):
                client.create_group(UserPoolId=self._pool, GroupName=group)
                client.admin_add_user_to_group(UserPoolId=self._pool, GroupName=group, Username=username)

    def set_role(self, member_id: str, role: Role) -> None:
        with translate_aws_errors(_UNAVAILABLE, _translate):
            self._client.admin_update_user_attributes(
                UserPoolId=self._pool, Username=member_id, UserAttributes=[{"Name": "custom:role", "Value": str(role)}]
            )
            self._client.admin_user_global_sign_out(UserPoolId=self._pool, Username=member_id)

    def reset_second_factor(self, member_id: str) -> None:
        disabled: dict[str, Any] = {"SoftwareTokenMfaSettings": {"Enabled": False, "PreferredMfa": False}}
        if self._has_passkeys and knows_passkeys(self._client):
            # Without the app, no passkey counts as a second factor.
            disabled["WebAuthnMfaSettings"] = {"Enabled": False}
        with translate_aws_errors(_UNAVAILABLE, _translate):
            self._client.admin_set_user_mfa_preference(UserPoolId=self._pool, Username=member_id, **disabled)
            self._client.admin_user_global_sign_out(UserPoolId=self._pool, Username=member_id)

    def remove(self, member_id: str) -> None:
        with translate_aws_errors(_UNAVAILABLE, _translate):
            self._client.admin_user_global_sign_out(UserPoolId=self._pool, Username=member_id)
            self._client.admin_delete_user(UserPoolId=self._pool, Username=member_id)

    def remove_all(self, tenant_id: UUID) -> None:
        """Remove every member of the tenant, and then its group. Repeatable."""
        while members := self.page(tenant_id, None, _MAX_PAGE).items:
            for member in members:
                self.remove(member.id)
        with suppress(NotFound), translate_aws_errors(_UNAVAILABLE, _translate):
            self._client.delete_group(UserPoolId=self._pool, GroupName=str(tenant_id))


def _is_of(tenant_id: UUID, attributes: Sequence[Any]) -> bool:
    return _values(attributes).get("custom:tenant_id") == str(tenant_id)


def _member(user: Mapping[str, Any], attributes: Sequence[Any]) -> Member:
    values = _values(attributes)
    role = next((role for role in MEMBER_ROLES if role == values.get("custom:role")), None)
    status = MemberStatus.INVITED if user.get("UserStatus") == "FORCE_CHANGE_PASSWORD" else MemberStatus.ACTIVE
    if not user.get("Enabled", True):
        status = MemberStatus.DISABLED
    username = user["Username"]
    return Member(username, values.get("sub", username), values.get("email", username), role, status)


def _values(attributes: Sequence[Any]) -> Mapping[str, str]:
    return {attribute["Name"]: attribute.get("Value", "") for attribute in attributes}


def _translate(error: AwsError) -> Exception | None:
    if error.code in ("UserNotFoundException", "ResourceNotFoundException"):
        return NotFound("There is no such user or group.")
    if error.code in ("UsernameExistsException", "AliasExistsException"):
        # Another tenant's member too: the answer does not say which.
        return Conflict("This address cannot be invited.")
    if error.code == "InvalidParameterException":
        return InvalidInput("The user pool refused the request.")
    return None
