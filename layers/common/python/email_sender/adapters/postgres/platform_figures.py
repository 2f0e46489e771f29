"""Counts over the whole platform, in one round trip. For the platform role: numbers of all tenants, but no rows."""

from typing import Any

from email_sender.adapters.postgres.database import Database
from email_sender.coordination.events import PLATFORM_TENANT

# Counts of large tables are limited: the query runs every minute, also where there are millions of rows.
_FIGURES = """
select
    (select count(*) from (select from outbox limit 100000)) as outbox_pending,
    (select coalesce(extract(epoch from now() - min(created_at)), 0) from outbox) as outbox_oldest_seconds,
    (select count(*) from (select from runs where status in ('pending', 'running', 'waiting') limit 100000))
        as runs_open,
    (select count(*) from runs where status = 'pending' and created_at < now() - interval '5 minutes')
        as runs_not_begun,
    (select count(*) from (select from imports where status in ('awaiting_upload', 'processing') limit 100000))
        as imports_open,
    (select count(*) from (select from emails where status in ('queued', 'sending') limit 100000))
        as emails_on_their_way,
    (select count(*) from (select from emails where status = 'unknown' limit 100000)) as emails_unknown,
    (select count(*) from failed_events where status = 'failed') as events_failed,
    (select count(*) from failed_events where status = 'parked') as events_parked,
    (select count(*) from circuit_breakers where state <> 'closed' and changed_at > now() - interval '10 minutes')
        as circuits_open,
    (select count(*) from notification_deliveries where state in ('due', 'sending')) as notifications_due,
    (select count(*) from backups where status = 'completed') as backups,
    (select extract(epoch from now() - max(finished_at)) from backups where status = 'completed') as backup_seconds_ago,
    (select (status = 'failed')::int from backups where status <> 'running' order by started_at desc limit 1)
        as backup_last_failed,
    (select count(*) from tenants where kind = 'customer') as tenants,
    (select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = 'email_sender' and c.relkind in ('r', 'p') and not c.relispartition
       and exists (select from pg_attribute a
                   where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped)
       and not (c.relrowsecurity and c.relforcerowsecurity)) as tables_not_sealed,
    (select count(*) from audit_log) as audit_entries,
    (select audit_broken_at(%s, 1000)) as audit_broken_at,
    (select count(*) from triggers where state = 'active') as triggers_active,
    (select greatest(reltuples, 0)::bigint from pg_class where oid = to_regclass('email_sender.drafts')) as drafts,
    (select extract(epoch from now() - max(rang_at)) from managers) as clock_seconds_ago
"""


def read_figures(database: Database) -> dict[str, Any]:
    """Return the figures by name. Names in "seconds" and "ago" are durations in seconds.

    Raises:
        Unavailable: the database did not respond.
    """
    with database.platform() as conn:
        row = conn.execute(_FIGURES, [PLATFORM_TENANT]).fetchone()
    return {name: float(value) if name.endswith(("seconds", "ago")) and value is not None else value
            for name, value in (row or {}).items()}  # fmt: skip
