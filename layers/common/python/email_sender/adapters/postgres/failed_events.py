"""Failed events in PostgreSQL. Implements coordination.failed_events.FailedEvents, for the platform role."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from uuid import UUID, uuid5

from psycopg import Connection

from email_sender.adapters.postgres.audit import add_entry
from email_sender.adapters.postgres.cursors import next_cursor, parse_cursor
from email_sender.adapters.postgres.database import Database, Row
from email_sender.coordination.audit import AuditEntry
from email_sender.coordination.events import PLATFORM_TENANT
from email_sender.coordination.failed_events import (
    PARKED_AFTER,
    FailedEvent,
    FailedEventSelector,
    FailedStatus,
    Failure,
)
from email_sender.paging import Page

_STORE = """
insert into failed_events as f (id, consumer, digest, body, reason, status, first_seen, last_seen)
values (%(id)s, %(consumer)s, %(digest)s, %(body)s, %(reason)s, 'failed', %(at)s, %(at)s)
on conflict (consumer, digest) do update set
    reason = excluded.reason, last_seen = greatest(f.last_seen, excluded.last_seen),
    -- The queue may deliver a message twice: only an event that was redriven since then has failed again.
    times = f.times + (f.status = 'redriven')::int,
    status = case when f.status = 'parked' or f.times + (f.status = 'redriven')::int >= %(parked_after)s then 'parked'
                  else 'failed' end
"""


class PostgresFailedEvents:
    def __init__(self, database: Database) -> None:
        self._database = database

    def store(self, failures: Sequence[Failure], parked_after: int = PARKED_AFTER) -> None:
        with self._database.platform() as conn:
            for failure in failures:
                body = failure.body.replace("\0", "\ufffd")
                digest = hashlib.sha256(failure.body.encode("utf-8", "surrogatepass")).digest()
                conn.execute(
                    _STORE,
                    {
                        "id": uuid5(PLATFORM_TENANT, f"{failure.consumer}/{digest.hex()}"),
                        "consumer": failure.consumer,
                        "digest": digest,
                        "body": body,
                        "reason": failure.reason.replace("\0", "")[:2_000],
                        "at": failure.at,
                        "parked_after": parked_after,
                    },
                )
            conn.commit()

    def page(
        self, consumer: str | None, status: FailedStatus | None, cursor: str | None, limit: int
    ) -> Page[FailedEvent]:
        """Return the latest first; without a status, the events that were not redriven."""
        before, before_id = parse_cursor(cursor)
        with self._database.platform() as conn:
            rows = conn.execute(
                "select id, consumer, body, reason, status, times, first_seen, last_seen from failed_events "
                "where (%(consumer)s::text is null or consumer = %(consumer)s) "
                "and (case when %(status)s::text is null then status <> 'redriven' else status = %(status)s end) "
                "and (%(before)s::timestamptz is null or (last_seen, id) < (%(before)s, %(before_id)s)) "
                "order by last_seen desc, id desc limit %(limit)s",
                {"consumer": consumer, "status": status, "before": before, "before_id": before_id, "limit": limit + 1},
            ).fetchall()
        return Page([_failed_event(row) for row in rows[:limit]], next_cursor(rows, limit, "last_seen"))

    @contextmanager
    def open(self) -> Iterator["PostgresFailedEventUnit"]:
        with self._database.platform() as conn:
            yield PostgresFailedEventUnit(conn)

    def forget(self, redriven_kept_days: int, kept_days: int) -> int:
        """Delete events that were redriven so many days ago, or last seen so many days ago. Returns how many."""
        with self._database.platform() as conn:
            deleted_count = conn.execute(
                "delete from failed_events where redriven_at < now() - make_interval(days => %s) "
                "and status = 'redriven' or last_seen < now() - make_interval(days => %s)",
                [redriven_kept_days, kept_days],
            ).rowcount
            conn.execute("delete from circuit_breakers where changed_at < now() - interval '1 day'")
            conn.commit()
        return deleted_count


class PostgresFailedEventUnit:
    def __init__(self, conn: Connection[Row]) -> None:
        self._conn = conn

    def find(self, selector: FailedEventSelector, consumers: Sequence[str], limit: int) -> Sequence[FailedEvent]:
        rows = self._conn.execute(
            "select id, consumer, body, reason, status, times, first_seen, last_seen from failed_events "
            "where consumer = any(%(consumers)s) and (%(consumer)s::text is null or consumer = %(consumer)s) "
            "and (case when %(by_id)s then id = any(%(ids)s) and status <> 'redriven' else status = 'failed' end) "
            "order by first_seen, id limit %(limit)s for update skip locked",
            {
                "by_id": bool(selector.ids),
                "ids": list(selector.ids),
                "consumer": selector.consumer,
                "consumers": list(consumers),
                "limit": limit,
            },
        ).fetchall()
        return [_failed_event(row) for row in rows]

    def mark_redriven(self, ids: Sequence[UUID], subject: str, at: datetime) -> None:
        self._conn.execute(
            "update failed_events set status = 'redriven', redriven_at = %s, redriven_by = %s where id = any(%s)",
            [at, subject, list(ids)],
        )

    def audit(self, entry: AuditEntry) -> None:
        add_entry(self._conn, PLATFORM_TENANT, entry)

    def commit(self) -> None:
        self._conn.commit()


def _failed_event(row: Row) -> FailedEvent:
    return FailedEvent(**{**row, "status": FailedStatus(row["status"])})
