"""All tenants' stored events, oldest first, for replays. For the platform's role."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from email_sender.adapters.postgres.cursors import following, read_cursor
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.events import stored
from email_sender.coordination.events import StoredEvent
from email_sender.coordination.replaying import Range
from email_sender.paging import Page


class PostgresEventHistory:
    """Implements coordination.replaying.EventHistory."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def between(self, wanted: Range, cursor: str | None, limit: int) -> Page[StoredEvent]:
        after, after_id = read_cursor(cursor)
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
                    "start": wanted.start,
                    "end": wanted.end,
                    "types": list(wanted.types),
                    "tenant": wanted.tenant_id,
                    "after": after,
                    "after_id": after_id,
                    "limit": limit + 1,
                },
            ).fetchall()
        return Page([stored(row) for row in rows[:limit]], following(rows, limit, "occurred_at"))

    def accounts_of(self, events: Sequence[StoredEvent]) -> Mapping[UUID, str]:
        with self._database.platform() as conn:
            rows = conn.execute(
                "select e.id, s.account from unnest(%s::uuid[], %s::uuid[], %s::text[]) as e (id, tenant_id, source) "
                "join event_sources s using (tenant_id, source)",
                [[each.id for each in events], [each.tenant_id for each in events], [each.source for each in events]],
            ).fetchall()
        return {row["id"]: row["account"] for row in rows}
