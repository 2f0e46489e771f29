"""Stored events of all tenants, oldest first, for replays. For the platform role."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from email_sender.adapters.postgres.cursors import next_cursor, parse_cursor
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.event_log import event_from_row
from email_sender.coordination.events import StoredEvent
from email_sender.coordination.replays import EventRange
from email_sender.paging import Page


class PostgresEventHistory:
    """Implements coordination.replays.EventHistory."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, event_range: EventRange, cursor: str | None, limit: int) -> Page[StoredEvent]:
        after, after_id = parse_cursor(cursor)
        with self._database.platform() as conn:
            rows = conn.execute(
                """
                select * from events
                where occurred_at >= %(start)s and occurred_at < %(end)s
                  and (%(types)s::text[] = '{}' or type = any(%(types)s))
                  and (%(tenant)s::uuid is null or tenant_id = %(tenant)s)
                  and (%(after)s::timestamptz is null or (occurred_at, id) > (%(after)s, %(after_id)s))
                order by occurred_at, id limit %(limit)s
                """,
                {
                    "start": event_range.start,
                    "end": event_range.end,
                    "types": list(event_range.types),
                    "tenant": event_range.tenant_id,
                    "after": after,
                    "after_id": after_id,
                    "limit": limit + 1,
                },
            ).fetchall()
        return Page([event_from_row(row) for row in rows[:limit]], next_cursor(rows, limit, "occurred_at"))

    def accounts_of(self, events: Sequence[StoredEvent]) -> Mapping[UUID, str]:
        with self._database.platform() as conn:
            rows = conn.execute(
                "select e.id, s.account from unnest(%s::uuid[], %s::uuid[], %s::text[]) as e (id, tenant_id, source) "
                "join event_sources s using (tenant_id, source)",
                [
                    [event.id for event in events],
                    [event.tenant_id for event in events],
                    [event.source for event in events],
                ],
            ).fetchall()
        return {row["id"]: row["account"] for row in rows}
