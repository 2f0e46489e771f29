"""Every day: partitions for the months to come, and away with what is past its time."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from coordinator.bootstrap import directory, failed_events, platform, units
from email_sender.kit.live_settings import live_settings
from email_sender.kit.telemetry import logger

_MONTHS_AHEAD = 3


@logger.inject_lambda_context(clear_state=True)
def handler(_event: dict[str, Any], _context: LambdaContext) -> dict[str, int]:
    with platform().platform() as conn:
        conn.execute("select ensure_event_partitions(current_date, %s)", [_MONTHS_AHEAD])
        kept = live_settings().events.kept_months
        months = conn.execute("select drop_event_partitions(%s) as months", [kept]).fetchone()
        conn.commit()
    removed = forgotten = 0
    for tenant_id in directory().tenants():
        with units()(tenant_id) as unit:
            gone = unit.conn.execute("delete from idempotency where created_at < now() - interval '24 hours'")
            removed += gone.rowcount
            gone = unit.conn.execute("delete from embeddings where expires_at < now()")
            forgotten += gone.rowcount
            unit.commit()
    failed = live_settings().failed_events
    return {
        "months_of_events_removed": months["months"] if months else 0,
        "keys_removed": removed,
        "embeddings_removed": forgotten,
        "failed_events_removed": failed_events().forget(failed.redriven_kept_days, failed.kept_days),
    }
