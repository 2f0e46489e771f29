"""Every minute: report combined repeats, send due deliveries (also abandoned ones and those to webhooks), delete old
notifications."""

from datetime import timedelta
from functools import cache
from random import shuffle
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from email_sender.adapters.postgres.tenant_directory import TenantDirectory
from email_sender.adapters.postgres.webhooks import tenants_to_sweep
from email_sender.coordination.events import PLATFORM_TENANT
from email_sender.errors import DomainError
from email_sender.kit.live_settings import live_settings
from email_sender.kit.resources import platform_database
from email_sender.kit.system_clock import now
from email_sender.kit.telemetry import logger
from messaging_lambda.bootstrap import notification_service, notification_units, webhook_sender

# One tenant's deliveries may take this long.
_LEFT_MILLISECONDS = 30_000


@cache
def _directory() -> TenantDirectory:
    return TenantDirectory(platform_database())


@logger.inject_lambda_context(clear_state=True)
def handler(_event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    sent_count = deleted_count = 0
    retention = timedelta(days=live_settings().notifications.kept_days)
    for tenant_id in (PLATFORM_TENANT, *_directory().tenants()):
        try:
            sent_count += notification_service().sweep(tenant_id)
            with notification_units()(tenant_id) as unit:
                deleted_count += unit.delete_older_than(now() - retention)
                unit.commit()
        except DomainError:
            # A failing tenant must not stop the others.
            logger.exception("a tenant's sweep failed", tenant_id=str(tenant_id))
    return {"sent": sent_count, "forgotten": deleted_count, "posted": _sweep_webhooks(context)}


def _sweep_webhooks(context: LambdaContext) -> int:
    """Send what is due, in an order that differs each time, so that slow receivers do not always delay the same."""
    tenants, posted_count = list(tenants_to_sweep(platform_database())), 0
    shuffle(tenants)
    for tenant_id in tenants:
        if context.get_remaining_time_in_millis() < _LEFT_MILLISECONDS:
            logger.warning("the sweep of webhooks goes on in the next minute")
            break
        try:
            posted_count += webhook_sender().sweep(tenant_id)
        except Exception:  # a failing tenant must not stop the others
            logger.exception("a tenant's sweep of webhooks failed", tenant_id=str(tenant_id))
    return posted_count
