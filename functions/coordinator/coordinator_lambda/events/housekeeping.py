"""Every day: creates event partitions for the coming months, and deletes expired data."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from coordinator_lambda.bootstrap import directory, failed_events, metric_totals, platform, units
from email_sender.adapters.postgres.database import admit_suspended
from email_sender.kit.live_settings import live_settings
from email_sender.kit.telemetry import logger

_MONTHS_AHEAD = 3


@logger.inject_lambda_context(clear_state=True)
def handler(_event: dict[str, Any], _context: LambdaContext) -> dict[str, int]:
    with platform().platform() as conn:
        conn.execute("select ensure_event_partitions(current_date, %s)", [_MONTHS_AHEAD])
        retained_months = live_settings().events.kept_months
        row = conn.execute("select drop_event_partitions(%s) as months", [retained_months]).fetchone()
        conn.commit()
    removed_keys = removed_embeddings = 0
    for tenant_id in directory().all_tenants():
        with admit_suspended(), units()(tenant_id) as unit:
            deleted_rows = unit.conn.execute("delete from idempotency where created_at < now() - interval '24 hours'")
            removed_keys += deleted_rows.rowcount
            deleted_rows = unit.conn.execute("delete from embeddings where expires_at < now()")
            removed_embeddings += deleted_rows.rowcount
            unit.conn.execute("delete from quota_use where day between '1970-01-02' and current_date - 90")
            unit.commit()
    failed_event_settings = live_settings().failed_events
    return {
        "months_of_events_removed": row["months"] if row else 0,
        "keys_removed": removed_keys,
        "embeddings_removed": removed_embeddings,
        "metric_batches_removed": metric_totals().forget_batches(),
        "failed_events_removed": failed_events().forget(
            failed_event_settings.redriven_kept_days, failed_event_settings.kept_days
        ),
    }
