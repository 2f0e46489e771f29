"""What is served, and the gate of writes. Implements vectors.serving's ServedStore and Gate.

The gate is a lock of PostgreSQL: writers share it, whoever switches a collection has it alone. A transaction's lock
goes with the transaction, so that a writer that dies leaves nothing locked.

While a migration follows a collection, a write is noted in a transaction of its own before the engine is told: killed
after that, the note is there and the point is looked at again. Notes are claimed under the lock alone, so an
unclaimed note that a writer sees under the shared lock stands until its write is done.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from psycopg import Connection

from email_sender.adapters.postgres.database import Database, Row
from email_sender.errors import Unavailable
from email_sender.vectors.model import Distance
from email_sender.vectors.serving import Ids, Served

# The first half of our advisory locks' keys; the other is the collection.
LOCK_CLASS = 7106
ALL_POINTS = UUID(int=0)

_PATIENCE = "select set_config('lock_timeout', '5s', true)"
_SHARE = "select pg_advisory_xact_lock_shared(%s, hashtext(%s))"
_SERVED = "select * from served_collections where name = %s"
_TOUCH = """
insert into vector_writes (tenant_id, collection) values (%s, %s)
on conflict (tenant_id, collection) do update set version = gen_random_uuid()
"""
# Sorted, so that two writers of the same points take their rows in one order.
_NOTE = """
insert into vector_changes (tenant_id, collection, point)
select %s, %s, point from unnest(%s::uuid[]) as point order by point
on conflict (collection, tenant_id, point) do update set claimed = false
"""
_NOTED = """
select count(*) as noted from vector_changes
where collection = %s and tenant_id = %s and point = any(%s) and not claimed
"""


class PostgresServed:
    def __init__(self, database: Callable[[], Database], tenant_id: UUID) -> None:
        """`tenant_id`: any, since what is served is the same for all."""
        self._database, self._tenant_id = database, tenant_id

    def all(self) -> Sequence[Served]:
        with self._database().tenant(self._tenant_id) as conn:
            return [served_from(row) for row in conn.execute("select * from served_collections").fetchall()]


class PostgresGate:
    """`changed` is called where something else is served than the writer thought."""

    def __init__(self, database: Database, changed: Callable[[], None]) -> None:
        self._database, self._changed = database, changed

    @contextmanager
    def open(self, tenant_id: UUID, collection: str, stored_as: str, ids: Ids) -> Iterator[None]:
        noted: list[UUID] | None = None
        while True:
            with self._database.tenant(tenant_id) as conn:
                served = _shared(conn, collection)
                if served is not None and served["stored_as"] != stored_as:
                    self._changed()
                    raise Unavailable(f"The collection {collection} has just been switched: ask again.", 1)
                follows = served is not None and served["noted"]
                if not follows or (noted is not None and _are_noted(conn, tenant_id, collection, noted)):
                    try:
                        yield
                    finally:
                        # Where the write failed, some of it may be done.
                        conn.execute(_TOUCH, [tenant_id, collection])
                        conn.commit()
                    return
            found = ids()
            noted = [ALL_POINTS] if found is None else sorted(set(found))
            self._note(tenant_id, collection, noted)

    def _note(self, tenant_id: UUID, collection: str, points: Sequence[UUID]) -> None:
        with self._database.tenant(tenant_id) as conn:
            conn.execute(_NOTE, [tenant_id, collection, points])
            conn.commit()


def _shared(conn: Connection[Row], collection: str) -> Row | None:
    # In one round trip, yet as statements of their own: one that waited for the lock would see what was before it.
    with conn.pipeline():
        conn.execute(_PATIENCE)
        conn.execute(_SHARE, [LOCK_CLASS, collection])
        served = conn.execute(_SERVED, [collection])
    return served.fetchone()


def _are_noted(conn: Connection[Row], tenant_id: UUID, collection: str, points: Sequence[UUID]) -> bool:
    row = conn.execute(_NOTED, [collection, tenant_id, points]).fetchone()
    return row is not None and int(row["noted"]) == len(points)


def served_from(row: Row) -> Served:
    return Served(
        name=row["name"],
        stored_as=row["stored_as"],
        size=row["size"],
        distance=Distance(row["distance"]),
        model=row["model"],
        lexical=row["lexical"],
        noted=row["noted"],
    )
