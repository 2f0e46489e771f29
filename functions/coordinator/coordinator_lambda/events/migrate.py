"""Applies migrations in a deployment, before new code gets traffic: a CloudFormation custom resource or invocation."""

from typing import Any

import psycopg
from aws_lambda_powertools.utilities.typing import LambdaContext

from email_sender.adapters.postgres.migrate import migrate
from email_sender.kit.custom_resources import deployment_step
from email_sender.kit.environment import DatabaseSettings
from email_sender.kit.resources import conninfo


def apply() -> dict[str, Any]:
    """Apply the migrations that are missing. Return their names as `applied`."""
    with psycopg.connect(conninfo(DatabaseSettings.from_environment()), connect_timeout=5) as conn:
        return {"applied": migrate(conn)}


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return deployment_step(event, context, apply)
