"""Served collections and the write lock.

Implements ServedCollectionStore and WriteLock of vectors.served_collections.

The write lock is an advisory lock of PostgreSQL: writers share it, and a switch of the collection holds it exclusively.
It ends with its transaction, so that a writer that dies leaves nothing locked.

While a migration tracks the changes of a collection, a writer records its points as changed, in a separate transaction
before it calls the engine. If the writer is killed after that, the change remains and the point is copied again.
Changes are claimed under the exclusive lock only, so an unclaimed change that a writer sees under the shared lock
remains until its write is done.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from psycopg import Connection

from email_sender.adapters.postgres.database import Database, Row
from email_sender.errors import Unavailable
from email_sender.vectors.model import Distance
from email_sender.vectors.served_collections import LazyPointIds, ServedCollection

# The first key of the advisory locks; the second key is the hash of the collection's name.
LOCK_CLASS = 7106
ALL_POINTS = UUID(int=0)

_SET_LOCK_TIMEOUT = "select set_config('lock_timeout', '5s', true)"
_LOCK_SHARED = "select pg_advisory_xact_lock_shared(%s, hashtext(%s))"
_SELECT_SERVED = "select * from served_collections where name = %s"
_CHANGE_WRITE_VERSION = """
insert into vector_writes (tenant_id, collection) values (%s, %s)
on conflict (tenant_id, collection) do update set version = gen_random_uuid()
"""
# Sorted, so that two writers of the same points lock their rows in the same order.
_ADD_CHANGES = """
insert into vector_changes (tenant_id, collection, point)
select %s, %s, point from unnest(%s::uuid[]) as point order by point
on conflict (collection, tenant_id, point) do update set claimed = false
"""
_COUNT_UNCLAIMED = """
select count(*) as noted from vector_changes
where collection = %s and tenant_id = %s and point = any(%s) and not claimed
"""


class PostgresServedCollectionStore:
    def __init__(self, database: Callable[[], Database], tenant_id: UUID) -> None:
        """`tenant_id` can be any tenant, because the served collections are the same for all."""
        self._database, self._tenant_id = database, tenant_id

    def all(self) -> Sequence[ServedCollection]:
        with self._database().tenant(self._tenant_id) as conn:
            return [served_collection_from(row) for row in conn.execute("select * from served_collections").fetchall()]


class PostgresWriteLock:
    """`on_change` is called if the served collection is not the one that the writer expects."""

    def __init__(self, database: Database, on_change: Callable[[], None]) -> None:
        self._database, self._on_change = database, on_change

    @contextmanager
    def hold(self, tenant_id: UUID, collection: str, stored_as: str, ids: LazyPointIds) -> Iterator[None]:
        recorded_points: list[UUID] | None = None
        while True:
            with self._database.tenant(tenant_id) as conn:
                served = _lock_shared(conn, collection)
                if served is not None and served["stored_as"] != stored_as:
                    self._on_change()
                    raise Unavailable(f"The collection {collection} has just been switched. Try again.", 1)
                tracks_changes = served is not None and served["noted"]
                if not tracks_changes or (
                    recorded_points is not None and _are_recorded(conn, tenant_id, collection, recorded_points)
                ):
                    try:
                        yield
                    finally:
                        # A write that fails may have changed some points.
                        conn.execute(_CHANGE_WRITE_VERSION, [tenant_id, collection])
                        conn.commit()
                    return
            point_ids = ids()
            recorded_points = [ALL_POINTS] if point_ids is None else sorted(set(point_ids))
            self._add_changes(tenant_id, collection, recorded_points)

    def _add_changes(self, tenant_id: UUID, collection: str, points: Sequence[UUID]) -> None:
        with self._database.tenant(tenant_id) as conn:
            conn.execute(_ADD_CHANGES, [tenant_id, collection, points])
            conn.commit()


def _lock_shared(conn: Connection[Row], collection: str) -> Row | None:
    # One round trip, but separate statements: one that waits for the lock would see the rows from before the wait.
    with conn.pipeline():
        conn.execute(_SET_LOCK_TIMEOUT)
        conn.execute(_LOCK_SHARED, [LOCK_CLASS, collection])
        served = conn.execute(_SELECT_SERVED, [collection])
    return served.fetchone()


def _are_recorded(conn: Connection[Row], tenant_id: UUID, collection: str, points: Sequence[UUID]) -> bool:
    row = conn.execute(_COUNT_UNCLAIMED, [collection, tenant_id, points]).fetchone()
    return row is not None and int(row["noted"]) == len(points)


def served_collection_from(row: Row) -> ServedCollection:
    return ServedCollection(
        name=row["name"],
        stored_as=row["stored_as"],
        size=row["size"],
        distance=Distance(row["distance"]),
        model=row["model"],
        lexical=row["lexical"],
        noted=row["noted"],
    )
