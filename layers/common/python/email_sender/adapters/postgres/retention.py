"""Retention in PostgreSQL. Implements security.retention.RetentionStore and OldData."""

from collections.abc import Callable, Mapping
from datetime import datetime
from uuid import UUID

from email_sender.adapters.postgres.unit_of_work import Units
from email_sender.security.retention import RetainedKind

_SET = """
insert into retention (tenant_id, kind, days) values (%s, %s, %s)
on conflict (tenant_id, kind) do update set days = excluded.days
"""
# What an open run may still need stays: what was kept when it began, and what came since. A message of today stays
# too, whatever date it claims, and so does everything while an import writes points.
_OLD_MESSAGES = """
with open_runs as (
    select min(created_at) as began from runs where status in ('pending', 'running', 'waiting')
)
select m.id from messages m, open_runs
where coalesce(m.sent_at, m.created_at) < least(%(before)s, open_runs.began - (%(now)s - %(before)s))
  and m.created_at < least(%(now)s - interval '1 day', open_runs.began)
  and not exists (select from imports i where i.status = 'processing')
order by m.id limit %(limit)s
"""
_EMPTY_RUNS = """
with old as (
    select id from runs where finished_at < %(before)s and emptied_at is null order by id limit %(limit)s
), steps as (
    update run_steps set result = null, error = null, result_enc = null, error_enc = null, term_hashes = '{}'
    where run_id in (select id from old)
), said as (
    delete from conversations where run_id in (select id from old)
), answers as (
    delete from reached_before where run_id in (select id from old)
)
update runs set inputs = '{}', error = null, inputs_enc = null, error_enc = null, term_hashes = '{}', emptied_at = now()
where id in (select id from old)
"""


# A run that goes on from an emptied one has the items of its steps, as long as it has its own content.
_DELETE_ITEMS = """
delete from stored_items s using runs r where r.id = s.run_id and r.emptied_at is not null and not exists (
    select from runs later where later.lineage @> array[s.run_id] and later.emptied_at is null)
"""


class PostgresRetention:
    def __init__(self, units: Units) -> None:
        self._units = units

    def days(self, tenant_id: UUID) -> Mapping[RetainedKind, int]:
        with self._units(tenant_id) as unit:
            rows = unit.conn.execute("select kind, days from retention order by kind").fetchall()
        return {RetainedKind(row["kind"]): row["days"] for row in rows}

    def set_days(self, tenant_id: UUID, days: Mapping[RetainedKind, int | None], at: datetime) -> None:
        with self._units(tenant_id) as unit:
            for kind, number in days.items():
                if number is None:
                    unit.conn.execute("delete from retention where kind = %s", [kind])
                else:
                    unit.conn.execute(_SET, [tenant_id, kind, number])
                unit.audit(at, "retention.changed", str(kind), {"days": number})
            unit.commit()

    def delete_messages(
        self, tenant_id: UUID, before: datetime, now: datetime, delete_points: Callable[[list[UUID]], None], limit: int
    ) -> int:
        parameters = {"before": before, "now": now, "limit": limit}
        with self._units(tenant_id) as unit:
            ids = [row["id"] for row in unit.conn.execute(_OLD_MESSAGES, parameters).fetchall()]
        if ids:
            # Before the rows, which say what there is to delete. The writer needs the only connection of the pool.
            delete_points(ids)
        with self._units(tenant_id) as unit:
            unit.conn.execute("delete from messages where id = any(%s)", [ids])
            unit.commit()
        return len(ids)

    def empty_runs(self, tenant_id: UUID, before: datetime, limit: int) -> int:
        with self._units(tenant_id) as unit:
            count = unit.conn.execute(_EMPTY_RUNS, {"before": before, "limit": limit}).rowcount
            unit.conn.execute(_DELETE_ITEMS)
            unit.commit()
        return count
