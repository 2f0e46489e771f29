"""Add a person to a deployed platform: `make operator`, or `make first-admin` for a tenant and its first administrator.

python scripts/add_user.py ENVIRONMENT EMAIL                         # an operator
python scripts/add_user.py ENVIRONMENT EMAIL --tenant NAME SENDER    # an administrator, and the tenant if it is new
"""

import argparse
import json
import secrets
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from email_sender.coordination.events import PLATFORM_TENANT
from scripts.deploy import ROOT, read_region
from scripts.deployment_checks import DeploymentRefused
from scripts.stacks import AwsFailed, read_outputs

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient
    from mypy_boto3_lambda import LambdaClient


class NotAdded(RuntimeError):
    """Nothing was added. The message says why."""


def create_tenant(client: "LambdaClient", function: str, name: str, sender: str) -> str:
    """Add the tenant unless it exists, and return its id.

    Raises:
        NotAdded: the name or the sender is invalid.
    """
    payload = json.dumps({"tenant": {"name": name, "sender": sender}}).encode()
    response = client.invoke(FunctionName=function, Payload=payload)
    answer: dict[str, Any] = json.loads(response["Payload"].read())
    if response.get("FunctionError"):
        raise NotAdded(str(answer.get("errorMessage")))
    return str(answer["tenant_id"])


def add_user(client: "CognitoIdentityProviderClient", pool: str, email: str, tenant_id: str, role: str) -> str:
    """Add the user, or give an existing one these rights, and return a new password.

    Raises:
        NotAdded: the address is invalid.
    """
    if email.count("@") != 1:
        raise NotAdded(f"{email!r} is not an address.")
    rights = [{"Name": "custom:tenant_id", "Value": tenant_id}, {"Name": "custom:role", "Value": role}]
    address = [{"Name": "email", "Value": email}, {"Name": "email_verified", "Value": "true"}]
    # The pool signs people in by a name that is no address, or by the address of their profile.
    name = email.replace("@", ".at.")
    attributes: Any = [*rights, *address]
    with suppress(client.exceptions.UsernameExistsException):
        client.admin_create_user(UserPoolId=pool, Username=name, UserAttributes=attributes, MessageAction="SUPPRESS")
    client.admin_update_user_attributes(UserPoolId=pool, Username=name, UserAttributes=attributes)
    password = f"Aa1-{secrets.token_urlsafe(18)}"
    client.admin_set_user_password(UserPoolId=pool, Username=name, Password=password, Permanent=True)
    return password


def add_person(outputs: Mapping[str, str], region: str, email: str, tenant: tuple[str, str] | None) -> str:
    """Add an operator, or the administrator of `tenant` (its name and sender), and return the password."""
    if "UserPoolId" not in outputs:
        raise NotAdded("This platform takes tokens of another issuer. Add people there.")
    if tenant is not None and not all(tenant):
        raise NotAdded("NAME and SENDER are needed, such as NAME=studio SENDER='Studio <hello@studio.example>'.")
    if tenant is None:
        tenant_id, role = str(PLATFORM_TENANT), "operator"
    else:
        tenant_id = create_tenant(boto3.client("lambda", region), outputs["OwnerFunction"], *tenant)
        role = "admin"
    return add_user(boto3.client("cognito-idp", region), outputs["UserPoolId"], email, tenant_id, role)


def main() -> int:
    parser = argparse.ArgumentParser(description="Add a person to a deployed platform.")
    parser.add_argument("environment")
    parser.add_argument("email")
    parser.add_argument("--tenant", nargs=2, metavar=("NAME", "SENDER"))
    options = parser.parse_args()
    try:
        region = read_region((ROOT / "samconfig.toml").read_text(), options.environment)
        outputs = read_outputs(f"email-sender-{options.environment}", region)
        password = add_person(outputs, region, options.email, tuple(options.tenant) if options.tenant else None)
    except (NotAdded, DeploymentRefused, AwsFailed, BotoCoreError, ClientError) as error:
        print(f"Nobody was added: {error}", file=sys.stderr)
        return 1
    print(f"{options.email} can sign in with this password, which is shown only now: {password}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
