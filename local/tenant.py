"""python -m local.tenant NAME SENDER: add a tenant with one user of each role to the running local cloud."""

import argparse
import json
import sys
from collections.abc import Sequence
from email.utils import parseaddr
from pathlib import Path

from rich.console import Console

from email_sender.errors import InvalidInput
from email_sender.kit.system_clock import new_id
from email_sender.security.tenants import check_tenant
from local.aws.deploy import client_factory
from local.database import Tenant, add_tenant
from local.identities import User, sign_up_tenant
from local.layout import ROOT, Layout


class InvalidTenant(ValueError):
    """The tenant cannot be added. The message says why."""


def create_tenant(layout: Layout, name: str, sender: str) -> Sequence[User]:
    """Add the tenant and its users, and add the users to endpoints.json.

    Raises:
        InvalidTenant: the name or the sender is invalid, the name is in use, or the local cloud has never started.
    """
    try:
        check_tenant(name, sender)
    except InvalidInput as error:
        raise InvalidTenant(error.detail) from None
    domain = parseaddr(sender)[1].rpartition("@")[2]
    if not layout.endpoints.is_file():
        raise InvalidTenant("There is no local cloud yet. Start it with `make run`.")
    endpoints = json.loads(layout.endpoints.read_text())
    tenant = Tenant(new_id(), name, sender)
    if not add_tenant(endpoints["postgres"], tenant):
        raise InvalidTenant(f"A tenant named {name} already exists. Its users are in {layout.endpoints}.")
    client = client_factory(endpoints["aws_endpoint"])
    client("ses").verify_domain_identity(Domain=domain)
    users = sign_up_tenant(client("cognito-idp"), endpoints["user_pool_id"], tenant)
    layout.write_endpoints({**endpoints, "users": [*endpoints["users"], *(user.as_dict() for user in users)]})
    return users


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.tenant", description="Add a tenant to the local cloud.")
    parser.add_argument("name", help="a short name, such as studio")
    parser.add_argument("sender", help="the From address, such as 'Studio <hello@studio.example>'")
    parser.add_argument("--home", type=Path, default=ROOT / ".local", help="the local cloud's folder")
    options = parser.parse_args()
    console = Console(soft_wrap=True, highlight=False)
    try:
        users = create_tenant(Layout(options.home), options.name, options.sender)
    except InvalidTenant as error:
        console.print(f"[red]No tenant was added:[/] {error}")
        return 1
    console.print(f"[green]Added[/] the tenant {options.name} ({users[0].tenant_id}) with these users:")
    for user in users:
        console.print(f"  {user.username:24} {user.password}", markup=False)
    console.print("Passwords change at each start of `make run`; .local/endpoints.json has the current ones.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
