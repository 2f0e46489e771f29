"""The roles of people in a Cognito user pool. Implements workflows.triggers.service.RoleDirectory."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import UUID

from email_sender.adapters.aws.errors import AwsError, translate_aws_errors
from email_sender.errors import NotFound, NotSupported
from email_sender.security.permissions import Role

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient

# A person who loses a role keeps it in triggers for at most this long. An access token lives longer.
_SECONDS = 60.0


class CognitoRoles:
    """Without a pool, another issuer has the people, and nobody can be looked up."""

    def __init__(
        self,
        client: Callable[[], "CognitoIdentityProviderClient"],
        pool: str,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._pool, self._now = client, pool, now
        self._known: dict[tuple[UUID, str], tuple[float, Role | None]] = {}

    def role_of(self, tenant_id: UUID, subject: str) -> Role | None:
        if not self._pool:
            raise NotSupported("The people of this deployment are known to another issuer.")
        read_at, role = self._known.get((tenant_id, subject), (0.0, None))
        if not read_at or self._now() - read_at > _SECONDS:
            role = self._read(tenant_id, subject)
            self._known[tenant_id, subject] = self._now(), role
        return role

    def _read(self, tenant_id: UUID, subject: str) -> Role | None:
        try:
            with translate_aws_errors("The user pool did not respond.", _translate):
                # Cognito accepts the subject of a token in place of the username.
                user = self._client().admin_get_user(UserPoolId=self._pool, Username=subject)
        except NotFound:
            return None
        attributes = {attribute["Name"]: attribute.get("Value", "") for attribute in user["UserAttributes"]}
        if not user.get("Enabled", True) or attributes.get("custom:tenant_id") != str(tenant_id):
            return None
        try:
            return Role(attributes.get("custom:role", ""))
        except ValueError:
            return None


def _translate(error: AwsError) -> Exception | None:
    return NotFound("There is no such user.") if error.code == "UserNotFoundException" else None
