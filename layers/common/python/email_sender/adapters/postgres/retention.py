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
_OLD_MESSAGES = "select id from messages where coalesce(sent_at, created_at) < %s order by id limit %s for update"
_EMPTY_RUNS = """
with old as (
    select id from runs
    where finished_at < %(before)s and (inputs <> '{}' or error is not null or exists (
        select from run_steps s where s.run_id = runs.id and (s.result is not null or s.error is not null)))
    order by id limit %(limit)s
), steps as (
    update run_steps set result = null, error = null where run_id in (select id from old)
)
update runs set inputs = '{}', error = null where id in (select id from old)
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
        self, tenant_id: UUID, before: datetime, delete_points: Callable[[list[UUID]], None], limit: int
    ) -> int:
        with self._units(tenant_id) as unit:
            ids = [row["id"] for row in unit.conn.execute(_OLD_MESSAGES, [before, limit]).fetchall()]
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
            unit.commit()
        return count
