"""Jobs, served collections and changes of points. Implements vectors.jobs.model and vectors.jobs.ports."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection
from psycopg.types.json import Jsonb

from email_sender.adapters.postgres.database import Database, Row
from email_sender.adapters.postgres.served_collections import ALL_POINTS, LOCK_CLASS, served_collection_from
from email_sender.adapters.postgres.unit_of_work import Unit
from email_sender.coordination.events import Bus
from email_sender.errors import Conflict, NotFound
from email_sender.vectors.jobs.model import Job, JobKind, JobStatus, PartProgress, Phase, Source, SourceKind
from email_sender.vectors.jobs.ports import ChangedPoint
from email_sender.vectors.served_collections import ServedCollection

_SAVE_PART = """
insert into vector_job_parts (tenant_id, job_id, phase, ordinal, position, done, points, checksum, sampled, failed,
                              reason)
values (%(tenant)s, %(job)s, %(phase)s, %(ordinal)s, %(position)s, %(done)s, %(points)s, %(checksum)s, %(sampled)s,
        %(failed)s, %(reason)s)
on conflict (job_id, phase, ordinal) do update set
    position = excluded.position, done = excluded.done, points = excluded.points, checksum = excluded.checksum,
    sampled = excluded.sampled, failed = excluded.failed, reason = excluded.reason
"""
_UPSERT_SERVED = """
insert into served_collections (name, stored_as, size, distance, model, lexical, noted)
values (%(name)s, %(stored_as)s, %(size)s, %(distance)s, %(model)s, %(lexical)s, %(noted)s)
on conflict (name) do update set
    stored_as = excluded.stored_as, size = excluded.size, distance = excluded.distance, model = excluded.model,
    lexical = excluded.lexical, noted = excluded.noted
"""
_CLAIM_CHANGES = """
update vector_changes c set claimed = true
from (select tenant_id, point from vector_changes where collection = %(collection)s
      order by claimed desc, tenant_id, point limit %(limit)s) as chosen
where c.collection = %(collection)s and c.tenant_id = chosen.tenant_id and c.point = chosen.point
returning c.tenant_id, c.point
"""
_DELETE_CHANGES = """
delete from vector_changes c using unnest(%s::uuid[], %s::uuid[]) as done (tenant_id, point)
where c.collection = %s and c.tenant_id = done.tenant_id and c.point = done.point and c.claimed
"""
_SELECT_CHANGED_POINTS = """
select asked.point from unnest(%s::uuid[], %s::uuid[]) as asked (tenant_id, point)
where exists (select from vector_changes c where c.collection = %s and c.tenant_id = asked.tenant_id
              and c.point in (asked.point, %s))
"""


class PostgresJobUnit(Unit):
    def add(self, new_job: Job) -> None:
        result = self.conn.execute(
            "insert into vector_jobs (id, tenant_id, kind, status, collection, source, target, created_by, created_at) "
            "values (%s, %s, %s, %s, %s, %s, %s, %s, %s) "
            "on conflict (collection) where kind = 'migration' and "
            "status in ('running', 'switched', 'rolling_back', 'finishing') do nothing",
            [
                new_job.id,
                self.tenant_id,
                new_job.kind,
                new_job.status,
                new_job.collection,
                _json(asdict(new_job.source)),
                _json({"served": asdict(new_job.served), "target": asdict(new_job.target), "discard": new_job.discard}),
                new_job.created_by,
                new_job.created_at,
            ],
        )
        if result.rowcount == 0:
            raise Conflict(
                f"A migration of {new_job.collection} is open (see GET /vectors/jobs). Finish it or roll it back first."
            )

    def get(self, job_id: UUID, *, lock: bool = False) -> Job | None:
        query = "select * from vector_jobs where id = %s"
        row = self.conn.execute(f"{query} for update" if lock else query, [job_id]).fetchone()
        return _job(row) if row else None

    def save(self, updated_job: Job) -> None:
        self.conn.execute(
            "update vector_jobs set status = %s, report = %s, error = %s, execution_arn = %s, finished_at = %s, "
            "target = target || %s where id = %s",
            [
                updated_job.status,
                Jsonb(dict(updated_job.report)),
                updated_job.error,
                updated_job.execution_arn,
                updated_job.finished_at,
                Jsonb({"discard": updated_job.discard}),
                updated_job.id,
            ],
        )

    def list(self, before: tuple[datetime, UUID] | None, limit: int) -> Sequence[Job]:
        rows = self.conn.execute(
            "select * from vector_jobs where %(at)s::timestamptz is null or (created_at, id) < (%(at)s, %(id)s) "
            "order by created_at desc, id desc limit %(limit)s",
            {"at": before[0] if before else None, "id": before[1] if before else None, "limit": limit},
        ).fetchall()
        return [_job(row) for row in rows]

    def list_active(self) -> Sequence[Job]:
        rows = self.conn.execute(
            "select * from vector_jobs where status in ('running', 'rolling_back', 'finishing') "
            "and created_at < now() - interval '30 seconds' order by created_at"
        ).fetchall()
        return [_job(row) for row in rows]

    def part(self, job_id: UUID, phase: Phase, ordinal: int) -> PartProgress:
        row = self.conn.execute(
            "select * from vector_job_parts where job_id = %s and phase = %s and ordinal = %s", [job_id, phase, ordinal]
        ).fetchone()
        return _part(row) if row else PartProgress(ordinal)

    def save_part(self, job_id: UUID, phase: Phase, part: PartProgress) -> None:
        self.conn.execute(_SAVE_PART, {**asdict(part), "tenant": self.tenant_id, "job": job_id, "phase": phase})

    def parts(self, job_id: UUID, phase: Phase) -> Sequence[PartProgress]:
        rows = self.conn.execute(
            "select * from vector_job_parts where job_id = %s and phase = %s order by ordinal", [job_id, phase]
        ).fetchall()
        return [_part(row) for row in rows]


class PostgresJobUnits:
    def __init__(self, database: Database, bus: Bus | None) -> None:
        self._database, self._bus = database, bus

    @contextmanager
    def __call__(self, tenant_id: UUID) -> Iterator[PostgresJobUnit]:
        with self._database.tenant(tenant_id) as conn:
            yield PostgresJobUnit(conn, tenant_id, self._bus)


class PostgresExclusiveAccess:
    def __init__(self, conn: Connection[Row], collection: str) -> None:
        self._conn, self._collection = conn, collection

    def claim(self, limit: int) -> Sequence[ChangedPoint]:
        rows = self._conn.execute(_CLAIM_CHANGES, {"collection": self._collection, "limit": limit}).fetchall()
        return [ChangedPoint(row["tenant_id"], None if row["point"] == ALL_POINTS else row["point"]) for row in rows]

    def serve(self, served: ServedCollection) -> None:
        self._conn.execute(_UPSERT_SERVED, asdict(served))
        self._conn.execute(
            "update vector_writes set version = gen_random_uuid() where collection = %s", [self._collection]
        )


class PostgresRegistry:
    """For the platform's role."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def exclusive_access(self, collection: str) -> Iterator[PostgresExclusiveAccess]:
        with self._database.platform() as conn:
            # Wait as long as a write may take; later writers wait behind this lock.
            conn.execute("select set_config('lock_timeout', '10s', true)")
            conn.execute("select pg_advisory_xact_lock(%s, hashtext(%s))", [LOCK_CLASS, collection])
            yield PostgresExclusiveAccess(conn, collection)
            conn.commit()

    def get(self, collection: str) -> ServedCollection:
        served_collection = self.find(collection)
        if served_collection is None:
            raise NotFound(f"The collection {collection} is not served yet. Deploy first.")
        return served_collection

    def find(self, collection: str) -> ServedCollection | None:
        with self._database.platform() as conn:
            row = conn.execute("select * from served_collections where name = %s", [collection]).fetchone()
        return served_collection_from(row) if row else None

    def forget_changes(self, collection: str, changes: Sequence[ChangedPoint] | None) -> None:
        with self._database.platform() as conn:
            if changes is None:
                conn.execute("delete from vector_changes where collection = %s", [collection])
            elif changes:
                points = [change.point or ALL_POINTS for change in changes]
                conn.execute(_DELETE_CHANGES, [[change.tenant_id for change in changes], points, collection])
            conn.commit()

    def changed_points(self, collection: str, points: Sequence[tuple[UUID, UUID]]) -> frozenset[UUID]:
        values = [[point[0] for point in points], [point[1] for point in points], collection, ALL_POINTS]
        with self._database.platform() as conn:
            rows = conn.execute(_SELECT_CHANGED_POINTS, values).fetchall()
        return frozenset(row["point"] for row in rows)

    def count_changes(self, collection: str) -> int:
        with self._database.platform() as conn:
            row = conn.execute("select count(*) from vector_changes where collection = %s", [collection]).fetchone()
        return int(row["count"]) if row else 0


def _json(value: Mapping[str, Any]) -> Jsonb:
    return Jsonb({key: str(entry) if isinstance(entry, UUID) else entry for key, entry in value.items()})


def _job(row: Row) -> Job:
    target_data = row["target"]
    return Job(
        id=row["id"],
        kind=JobKind(row["kind"]),
        status=JobStatus(row["status"]),
        collection=row["collection"],
        source=_source(row["source"]),
        served=served_collection_from(target_data["served"]),
        target=served_collection_from(target_data["target"]),
        created_by=row["created_by"],
        created_at=row["created_at"],
        discard=target_data["discard"],
        report=row["report"],
        error=row["error"],
        execution_arn=row["execution_arn"],
        finished_at=row["finished_at"],
    )


def _source(data: Mapping[str, Any]) -> Source:
    ids = {key: UUID(data[key]) if data[key] else None for key in ("export_id", "tenant_id")}
    return Source(**{**data, **ids, "kind": SourceKind(data["kind"])})


def _part(row: Row) -> PartProgress:
    return PartProgress(
        ordinal=row["ordinal"],
        position=row["position"],
        done=row["done"],
        points=row["points"],
        checksum=int(row["checksum"]),
        sampled=row["sampled"],
        failed=row["failed"],
        reason=row["reason"],
    )
