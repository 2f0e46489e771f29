"""The recorded events and the outbox, for the platform role; and a tenant's view of its events."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from email_sender.adapters.aws.eventbridge import encode_detail
from email_sender.adapters.postgres.cursors import next_cursor, parse_cursor
from email_sender.adapters.postgres.database import Database, Row
from email_sender.coordination.events import Bus, BusEntry, StoredEvent
from email_sender.paging import Page
from email_sender.storable_json import storable

# All rows are one JSON document: in ten arrays, psycopg would examine every value for quoting.
_INSERT = """
insert into events (id, type, payload, source, tenant_id, aggregate_id, sequence, occurred_at, correlation_id,
                    causation_id)
select * from jsonb_to_recordset(%s::jsonb) as row (
    id uuid, type text, payload jsonb, source text, tenant_id uuid, aggregate_id text, sequence bigint,
    occurred_at timestamptz, correlation_id text, causation_id text
)
on conflict do nothing
"""
# Moves events from the outbox to `events` within the database, so that they do not pass through this process. It waits
# for rows that another recorder is moving, locks rows in one order, and then finds the moved rows recorded.
# `any(array(…))` instead of `in (…)`: the statistics of a table that is nearly always empty promise one row, for which
# the planner chooses a nested loop. That compares every row of a batch with every other.
_MOVE = """
with due as materialized (
    select * from outbox where id = any(%s) order by sequence for update
), kept as (
    insert into events (id, type, payload, source, tenant_id, aggregate_id, sequence, occurred_at, correlation_id,
                        causation_id)
    select id, type, detail || jsonb_build_object('sequence', sequence), source, tenant_id, detail->>'aggregate_id',
           sequence, (detail->>'occurred_at')::timestamptz, detail->>'correlation_id', detail->>'causation_id'
    from due
    on conflict do nothing
    returning 1
), gone as (
    delete from outbox where sequence = any(array(select sequence from due))
)
select (select array_agg(id) from due) as moved, (select count(*) from kept) as new
"""
# A due row is postponed before it is sent to the bus, so that two relays share the work and a dead one blocks nothing.
_DUE = """
update outbox set attempts = attempts + 1,
    next_attempt_at = now() + least(interval '5 minutes', interval '15 seconds' * power(2, attempts))
where sequence = any(array(
    select sequence from outbox where next_attempt_at <= now() order by sequence limit %s for update skip locked
))
returning sequence, source, type, detail
"""


class PostgresEventLog:
    """Implements coordination.event_recorder.EventLog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def outbox_events(self, ids: Sequence[UUID]) -> Mapping[UUID, StoredEvent]:
        if not ids:
            return {}
        with self._database.platform() as conn:
            rows = conn.execute("select * from outbox where id = any(%s)", [list(ids)]).fetchall()
        return {row["id"]: _event_from_outbox(row) for row in rows}

    def recorded_events(self, ids: Sequence[UUID]) -> Mapping[UUID, StoredEvent]:
        if not ids:
            return {}
        with self._database.platform() as conn:
            rows = conn.execute("select * from events where id = any(%s)", [list(ids)]).fetchall()
        return {row["id"]: event_from_row(row) for row in rows}

    def tenants_of(self, sources: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], UUID]:
        if not sources:
            return {}
        with self._database.platform() as conn:
            rows = conn.execute(
                "select s.* from event_sources s join unnest(%s::text[], %s::text[]) as w (account, source) "
                "using (account, source)",
                [[source[0] for source in sources], [source[1] for source in sources]],
            ).fetchall()
        return {(row["account"], row["source"]): row["tenant_id"] for row in rows}

    def move_from_outbox(self, ids: Sequence[UUID]) -> tuple[Collection[UUID], int]:
        if not ids:
            return (), 0
        with self._database.platform() as conn:
            row = conn.execute(_MOVE, [list(ids)]).fetchone()
            conn.commit()
        return (frozenset(row["moved"] or ()), row["new"]) if row else ((), 0)

    def store(self, events: Sequence[StoredEvent]) -> int:
        with self._database.platform() as conn:
            new_count = conn.execute(_INSERT, [Jsonb([_to_row(event) for event in events])]).rowcount
            conn.commit()
        return new_count


class OutboxRelay:
    """Sends events to the bus that were not sent right after their commit, or did not reach the recorder."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database, self._bus = database, bus

    def sweep(self, limit: int = 500) -> int:
        """Send due events. Returns how many the bus accepted. The recorder ignores repeats."""
        with self._database.platform() as conn:
            rows = conn.execute(_DUE, [limit]).fetchall()
            conn.commit()
        entries = [
            BusEntry(row["source"], row["type"], encode_detail({**row["detail"], "sequence": row["sequence"]}))
            for row in sorted(rows, key=lambda row: row["sequence"])
        ]
        return sum(self._bus.put(entries)) if entries else 0


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Filters of a list of events; None accepts every value."""

    type: str | None = None
    source: str | None = None
    correlation_id: str | None = None


class PostgresEvents:
    """A tenant's events, newest first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, tenant_id: UUID, query: EventQuery, cursor: str | None, limit: int) -> Page[StoredEvent]:
        before, before_id = parse_cursor(cursor)
        with self._database.tenant(tenant_id) as conn:
            rows = conn.execute(
                """
                select * from events
                where tenant_id = %(tenant)s
                  and (%(type)s::text is null or type = %(type)s)
                  and (%(source)s::text is null or source = %(source)s)
                  and (%(correlation)s::text is null or correlation_id = %(correlation)s)
                  and (%(before)s::timestamptz is null or (occurred_at, id) < (%(before)s, %(before_id)s))
                order by occurred_at desc, id desc limit %(limit)s
                """,
                {
                    "tenant": tenant_id,
                    "type": query.type,
                    "source": query.source,
                    "correlation": query.correlation_id,
                    "before": before,
                    "before_id": before_id,
                    "limit": limit + 1,
                },
            ).fetchall()
        return Page([event_from_row(row) for row in rows[:limit]], next_cursor(rows, limit, "occurred_at"))


def _event_from_outbox(row: Row) -> StoredEvent:
    detail: dict[str, Any] = row["detail"]
    return StoredEvent(
        id=row["id"],
        type=row["type"],
        source=row["source"],
        tenant_id=row["tenant_id"],
        occurred_at=datetime.fromisoformat(detail["occurred_at"]),
        payload={**detail, "sequence": row["sequence"]},
        aggregate_id=detail["aggregate_id"],
        sequence=row["sequence"],
        correlation_id=detail["correlation_id"],
        causation_id=detail["causation_id"],
    )


def _to_row(event: StoredEvent) -> dict[str, Any]:
    return {
        "id": str(event.id),
        "type": event.type,
        "payload": storable(event.payload),
        "source": event.source,
        "tenant_id": str(event.tenant_id),
        "aggregate_id": event.aggregate_id,
        "sequence": event.sequence,
        "occurred_at": event.occurred_at.isoformat(),
        "correlation_id": event.correlation_id,
        "causation_id": event.causation_id,
    }


def event_from_row(row: Row) -> StoredEvent:
    return StoredEvent(
        id=row["id"],
        type=row["type"],
        source=row["source"],
        tenant_id=row["tenant_id"],
        occurred_at=row["occurred_at"],
        payload=row["payload"],
        aggregate_id=row["aggregate_id"],
        sequence=row["sequence"],
        correlation_id=row["correlation_id"],
        causation_id=row["causation_id"],
    )
