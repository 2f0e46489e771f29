"""Add a person to a deployed platform: `make operator`, `make first-admin` for a new tenant, or `make user`.

python -m scripts.add_user ENVIRONMENT EMAIL                                # an operator
python -m scripts.add_user ENVIRONMENT EMAIL --tenant NAME SENDER           # an administrator, and the tenant if new
python -m scripts.add_user ENVIRONMENT EMAIL --member NAME ROLE             # readonly, user or admin of a tenant
"""

import argparse
import json
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from email_sender.adapters.aws.cognito_members import CognitoMembers
from email_sender.coordination.events import PLATFORM_TENANT
from email_sender.security.members import MEMBER_ROLES
from email_sender.security.permissions import Role
from scripts.deploy import ROOT, read_region
from scripts.deployment_checks import DeploymentRefused
from scripts.stacks import AwsFailed, read_outputs

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient
    from mypy_boto3_lambda import LambdaClient


class NotAdded(RuntimeError):
    """Nothing was added. The message says why."""


@dataclass(frozen=True, slots=True)
class Membership:
    """A role in a tenant: without a name, in that of the operators. With a sender, the tenant is added if it is new."""

    tenant: str | None
    role: str
    sender: str | None = None


OPERATOR = Membership(None, Role.OPERATOR)


def tenant_id_of(client: "LambdaClient", function: str, membership: Membership) -> str:
    """Return the id of the tenant, which is added if it has a sender and does not exist.

    Raises:
        NotAdded: the name or the sender is invalid, or there is no such tenant.
    """
    if membership.tenant is None:
        return str(PLATFORM_TENANT)
    tenant = {"name": membership.tenant} | ({} if membership.sender is None else {"sender": membership.sender})
    response = client.invoke(FunctionName=function, Payload=json.dumps({"tenant": tenant}).encode())
    answer: dict[str, Any] = json.loads(response["Payload"].read())
    if response.get("FunctionError"):
        raise NotAdded(str(answer.get("errorMessage")))
    return str(answer["tenant_id"])


def add_user(client: "CognitoIdentityProviderClient", pool: str, email: str, tenant_id: str, role: str) -> str:
    """Add the user, or give an existing one with these rights a new password. Return the password.

    Raises:
        NotAdded: the user exists with other rights.
    """
    rights = {"custom:tenant_id": tenant_id, "custom:role": role}
    attributes: Any = [
        {"Name": name, "Value": value} for name, value in {**rights, "email": email, "email_verified": "true"}.items()
    ]
    # The pool signs people in by a name that is no address, or by the address of their profile.
    name = email.replace("@", ".at.")
    try:
        client.admin_create_user(UserPoolId=pool, Username=name, UserAttributes=attributes, MessageAction="SUPPRESS")
    except client.exceptions.UsernameExistsException:
        stored = client.admin_get_user(UserPoolId=pool, Username=name)["UserAttributes"]
        present = {attribute["Name"]: attribute.get("Value", "") for attribute in stored}
        if any(present.get(right) != value for right, value in rights.items()):
            raise NotAdded(
                f"{email} has the role {present.get('custom:role')} in tenant {present.get('custom:tenant_id')} "
                f"already. To change it, delete the user first: aws cognito-idp admin-delete-user "
                f"--user-pool-id {pool} --username {name}"
            ) from None
    if role != Role.OPERATOR:
        CognitoMembers(lambda: client, pool).add_to_group(UUID(tenant_id), name)
    password = f"Aa1-{secrets.token_urlsafe(18)}"
    client.admin_set_user_password(UserPoolId=pool, Username=name, Password=password, Permanent=True)
    return password


def add_person(outputs: Mapping[str, str], region: str, email: str, membership: Membership) -> tuple[str, str]:
    """Add a person with a membership. Return the password and the tenant's id.

    Raises:
        NotAdded: a value is missing or invalid. Nothing has changed.
    """
    if "UserPoolId" not in outputs:
        raise NotAdded("This platform takes tokens of another issuer. Add people there.")
    if email.count("@") != 1 or not all(email.split("@")):
        raise NotAdded(f"EMAIL is {email!r}, which is not an address.")
    if membership.tenant == "" or membership.sender == "":
        raise NotAdded("NAME and SENDER are needed, such as NAME=studio SENDER='Studio <hello@studio.example>'.")
    if membership != OPERATOR and membership.role not in MEMBER_ROLES:
        raise NotAdded(f"ROLE is {membership.role!r}. It must be one of {', '.join(MEMBER_ROLES)}.")
    tenant_id = tenant_id_of(boto3.client("lambda", region), outputs["OwnerFunction"], membership)
    cognito = boto3.client("cognito-idp", region)
    return add_user(cognito, outputs["UserPoolId"], email, tenant_id, membership.role), tenant_id


def main() -> int:
    parser = argparse.ArgumentParser(description="Add a person to a deployed platform.")
    parser.add_argument("environment")
    parser.add_argument("email")
    parser.add_argument("--tenant", nargs=2, metavar=("NAME", "SENDER"))
    parser.add_argument("--member", nargs=2, metavar=("NAME", "ROLE"))
    options = parser.parse_args()
    membership = OPERATOR
    if options.tenant:
        membership = Membership(options.tenant[0], Role.ADMIN, options.tenant[1])
    elif options.member:
        membership = Membership(*options.member)
    try:
        region = read_region((ROOT / "samconfig.toml").read_text(), options.environment)
        outputs = read_outputs(f"email-sender-{options.environment}", region)
        password, tenant_id = add_person(outputs, region, options.email, membership)
    except (NotAdded, DeploymentRefused, AwsFailed, BotoCoreError, ClientError) as error:
        print(f"Nobody was added: {error}", file=sys.stderr)
        return 1
    print(f"{options.email} has the role {membership.role} in tenant {tenant_id}.")
    print(f"The password, which is shown only now: {password}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
