"""Every minute: folded repeats whose time has come, deliveries that failed or were begun by something that died."""

from datetime import timedelta
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from email_sender.adapters.postgres.directory import Directory
from email_sender.coordination.events import PLATFORM_TENANT
from email_sender.errors import DomainError
from email_sender.kit.ambient import now
from email_sender.kit.live_settings import live_settings
from email_sender.kit.resources import platform_database
from email_sender.kit.telemetry import logger
from messaging.bootstrap import notification_service, notification_units


@cache
def _directory() -> Directory:
    return Directory(platform_database())


@logger.inject_lambda_context(clear_state=True)
def handler(_event: dict[str, Any], _context: LambdaContext) -> dict[str, int]:
    sent = forgotten = 0
    kept = timedelta(days=live_settings().notifications.kept_days)
    for tenant_id in (PLATFORM_TENANT, *_directory().tenants()):
        try:
            sent += notification_service().sweep(tenant_id)
            with notification_units()(tenant_id) as unit:
                forgotten += unit.forget(now() - kept)
                unit.commit()
        except DomainError:
            # One tenant's trouble is not another's.
            logger.exception("a tenant's sweep failed", tenant_id=str(tenant_id))
    return {"sent": sent, "forgotten": forgotten}
