"""What the owner of the database does: prepare it in a deployment, before new code gets traffic, and restore it."""

from typing import Any

import psycopg
from aws_lambda_powertools.utilities.typing import LambdaContext

from email_sender.adapters.postgres.database_setup import add_platform_tenant, add_tenant, find_tenant, prepare_roles
from email_sender.adapters.postgres.migrate import migrate
from email_sender.kit.custom_resources import deployment_step
from email_sender.kit.environment import DatabaseSettings
from email_sender.kit.resources import conninfo, secret_password
from email_sender.kit.system_clock import new_id


class MigrationSettings(DatabaseSettings):
    """The secrets of the roles. A role without a secret signs in with IAM."""

    app_secret_arn: str = ""
    """Secret of the role app."""
    platform_secret_arn: str = ""
    """Secret of the role platform."""
    backup_secret_arn: str = ""
    """Secret of the role backup."""
    gateway_secret_arn: str = ""
    """Secret of the role gateway."""


def apply() -> dict[str, Any]:
    """Prepare the roles, apply the migrations that are missing, and add the platform tenant: all of it or nothing.

    Returns the names of the migrations as `applied`.
    """
    settings = MigrationSettings.from_environment()
    secrets = {
        "app": settings.app_secret_arn,
        "platform": settings.platform_secret_arn,
        "backup": settings.backup_secret_arn,
        "gateway": settings.gateway_secret_arn,
    }
    passwords = {role: secret_password(arn) for role, arn in secrets.items() if arn}
    with _connect() as conn:
        prepare_roles(conn, passwords)
        applied = migrate(conn)
        add_platform_tenant(conn)
    return {"applied": applied}


def create_tenant(name: str, sender: str | None) -> dict[str, Any]:
    """Return the id of the tenant with this name. Without a sender, it must exist; with one, it is added if not."""
    with _connect() as conn:
        tenant_id = find_tenant(conn, name) if sender is None else add_tenant(conn, new_id(), name, sender)
    return {"tenant_id": str(tenant_id)}


def _connect() -> psycopg.Connection[Any]:
    return psycopg.connect(conninfo(MigrationSettings.from_environment()), connect_timeout=5)


def _restore(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    # Imported late, because deployments do not need it.
    from coordinator_lambda.restore import RestoreStep, restore_database
    from email_sender.kit.tasks.platform_step import platform_step

    return platform_step(RestoreStep)(lambda step, _context: restore_database(step, _connect))(event, context)


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Handle CloudFormation's request, or an operator's.

    `{"tenant": {"name": …, "sender": …}}` adds a tenant; without `sender`, it returns the id of one. The state machine
    of restores sends `{"restore": {"backup": …, "execution": …}}`.
    """
    if "restore" in event:
        return _restore(event["restore"], context)
    if "tenant" in event:
        return create_tenant(str(event["tenant"]["name"]), event["tenant"].get("sender"))
    return deployment_step(event, context, apply)
