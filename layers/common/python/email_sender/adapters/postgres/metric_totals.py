"""Totals of counters and histograms (coordination.metrics), and the last state of each manager."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from email_sender.adapters.postgres.database import Database, Row
from email_sender.coordination.lifecycle import Status
from email_sender.coordination.metrics import Total

_ADD = """
insert into metric_totals as t (name, labels, count, sum, buckets)
select name, labels, count, sum, buckets
from jsonb_to_recordset(%s) as added (name text, labels jsonb, count bigint, sum double precision, buckets bigint[])
order by name, labels
on conflict (name, labels) do update set
    count = t.count + excluded.count,
    sum = t.sum + excluded.sum,
    buckets = (
        select array_agg(coalesce(old, 0) + coalesce(new, 0) order by position)
        from unnest(t.buckets, excluded.buckets) with ordinality as pairs (old, new, position)
    )
"""


@dataclass(frozen=True, slots=True)
class ObservedManager:
    """A manager's state when it was last observed. `figures` are its numbers by name."""

    name: str
    is_active: bool
    figures: dict[str, float]
    observed_at: datetime | None


class PostgresMetricTotals:
    """Every method raises Unavailable if the database does not respond."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, batch_id: bytes, totals: Iterable[Total]) -> bool:
        """Add the totals of a batch. Return False, and add nothing, if the batch was added before."""
        rows = [
            {
                "name": total.name,
                "labels": dict(total.labels),
                "count": total.count,
                "sum": total.sum,
                "buckets": total.buckets or None,
            }
            for total in totals
        ]
        with self._database.platform() as conn:
            inserted = conn.execute(
                "insert into metric_batches (id) values (%s) on conflict do nothing returning 1", [batch_id]
            ).fetchone()
            if inserted is None:
                return False
            conn.execute(_ADD, [Jsonb(rows)])
            conn.commit()
        return True

    def read(self) -> list[Total]:
        with self._database.platform() as conn:
            rows = conn.execute(
                "select name, labels, count, sum, buckets from metric_totals order by name, labels"
            ).fetchall()
        return [_total(row) for row in rows]

    def read_managers(self) -> list[ObservedManager]:
        """Return every manager of this deployment. What is not configured is not down."""
        with self._database.platform() as conn:
            rows = conn.execute(
                "select name, status, figures, observed_at from managers where status <> 'not_configured'"
            ).fetchall()
        return [
            ObservedManager(row["name"], Status(row["status"]).is_active, _numbers(row["figures"]), row["observed_at"])
            for row in rows
        ]

    def forget_batches(self) -> int:
        """Forget batches that cannot be delivered again: Lambda repeats them for some minutes, six hours at most."""
        with self._database.platform() as conn:
            count = conn.execute("delete from metric_batches where counted_at < now() - interval '2 days'").rowcount
            conn.commit()
        return count


def _total(row: Row) -> Total:
    labels = tuple(sorted(row["labels"].items()))
    return Total(row["name"], labels, row["count"], row["sum"], row["buckets"] or [])


def _numbers(figures: dict[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in figures.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
