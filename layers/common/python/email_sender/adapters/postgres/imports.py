"""Imports in PostgreSQL. Implements vectors.imports.model.ImportUnit."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from email_sender.adapters.postgres.database import Database, Row
from email_sender.adapters.postgres.unit_of_work import Unit
from email_sender.coordination.events import Bus
from email_sender.vectors.imports.model import (
    Format,
    Import,
    ImportKind,
    ImportStatus,
    MessageLinks,
    Progress,
    RejectedRecord,
    ThreadAssignment,
)

_SAVE = """
update imports set status = %(status)s, object_key = %(key)s, object_version = %(version)s, execution_arn =
%(execution)s,
    payloads_version = %(payloads_version)s,
    chunks = %(chunks)s, size_bytes = %(size)s, error = %(error)s, started_at = %(started)s, finished_at = %(finished)s
where id = %(id)s
"""
_ADD_CHUNK = """
insert into import_chunks as c (tenant_id, import_id, ordinal, messages, stored, duplicates, failed)
values (%s, %s, %s, %s, %s, %s, %s)
on conflict (import_id, ordinal) do nothing
"""
# A row of vectors: its number in its chunk plus the rows of the earlier chunks, once all of them are complete.
_SELECT_ERRORS = """
select e.ordinal, e.reason,
       case when i.kind = 'vectors' and before.done = e.ordinal >> 32
            then before.counted + (e.ordinal & 4294967295) end as row
from import_errors e join imports i on i.id = e.import_id
cross join lateral (
    select count(*) as done, coalesce(sum(c.messages), 0) as counted from import_chunks c
    where i.kind = 'vectors' and c.import_id = e.import_id and c.ordinal < e.ordinal >> 32
) before
where e.import_id = %s and e.ordinal > %s order by e.ordinal limit %s
"""
_SELECT_LINKS = """
with mine as (select * from messages where import_id = %(import)s),
     wanted as (select array(select distinct unnest(reference_hashes) from mine) as keys)
select m.message_hash, m.reference_hashes, m.thread_id from messages m, wanted
where m.import_id = %(import)s
   or m.message_hash = any(wanted.keys)
   or m.reference_hashes && wanted.keys
   or m.reference_hashes && array(select message_hash from mine)
"""


class PostgresImportUnit(Unit):
    """Imports and threads, which need no encryption keys."""

    def add(self, new_import: Import) -> None:
        self.conn.execute(
            """
            insert into imports (id, tenant_id, kind, status, file_name, size_bytes, object_key, created_by, created_at,
                                 collection, format, payloads_bytes)
            values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
            """,
            [
                new_import.id,
                self.tenant_id,
                new_import.kind,
                new_import.status,
                new_import.file_name,
                new_import.size_bytes,
                new_import.object_key,
                new_import.created_by,
                new_import.created_at,
                new_import.collection,
                new_import.format,
                new_import.payloads_bytes,
            ],
        )

    def get(self, import_id: UUID, *, lock: bool = False) -> Import | None:
        query = "select * from imports where id = %s for update" if lock else "select * from imports where id = %s"
        row = self.conn.execute(query, [import_id]).fetchone()
        return _import(row) if row else None

    def save(self, updated_import: Import) -> None:
        self.conn.execute(
            _SAVE,
            {
                "id": updated_import.id,
                "status": updated_import.status,
                "key": updated_import.object_key,
                "version": updated_import.object_version,
                "payloads_version": updated_import.payloads_version,
                "execution": updated_import.execution_arn,
                "chunks": updated_import.chunks,
                "size": updated_import.size_bytes,
                "error": updated_import.error,
                "started": updated_import.started_at,
                "finished": updated_import.finished_at,
            },
        )

    def page(self, before: UUID | None, limit: int) -> Sequence[Import]:
        rows = self.conn.execute(
            "select * from imports where (%s::uuid is null or id < %s) order by id desc limit %s",
            [before, before, limit],
        ).fetchall()
        return [_import(row) for row in rows]

    def unfinished(self) -> Sequence[Import]:
        rows = self.conn.execute(
            "select * from imports where status in ('awaiting_upload', 'processing') "
            "and created_at < now() - interval '30 seconds' order by created_at"
        ).fetchall()
        return [_import(row) for row in rows]

    def progress(self, import_id: UUID) -> Progress:
        row = self.conn.execute(
            """
            select count(*) as chunks, coalesce(sum(messages), 0) as messages, coalesce(sum(stored), 0) as stored,
                   coalesce(sum(duplicates), 0) as duplicates, coalesce(sum(failed), 0) as failed
            from import_chunks where import_id = %s
            """,
            [import_id],
        ).fetchone()
        assert row is not None  # noqa: S101  # an aggregate has one row
        return Progress(row["chunks"], row["messages"], row["stored"], row["duplicates"], row["failed"])

    def errors(self, import_id: UUID, after: int, limit: int) -> Sequence[RejectedRecord]:
        rows = self.conn.execute(_SELECT_ERRORS, [import_id, after, limit]).fetchall()
        return [RejectedRecord(row["ordinal"], row["reason"], row["row"]) for row in rows]

    def chunk(self, import_id: UUID, ordinal: int) -> Progress | None:
        row = self.conn.execute(
            "select messages, stored, duplicates, failed from import_chunks where import_id = %s and ordinal = %s",
            [import_id, ordinal],
        ).fetchone()
        return Progress(1, row["messages"], row["stored"], row["duplicates"], row["failed"]) if row else None

    def record_chunk(self, import_id: UUID, chunk: int, progress: Progress, errors: Sequence[RejectedRecord]) -> None:
        self.conn.execute(
            _ADD_CHUNK,
            [
                self.tenant_id,
                import_id,
                chunk,
                progress.messages,
                progress.stored,
                progress.duplicates,
                progress.failed,
            ],
        )
        with self.conn.cursor() as cursor:
            cursor.executemany(
                "insert into import_errors (tenant_id, import_id, ordinal, reason) values (%s, %s, %s, %s) "
                "on conflict do nothing",
                [(self.tenant_id, import_id, error.ordinal, error.reason) for error in errors],
            )

    def links(self, import_id: UUID) -> Sequence[MessageLinks]:
        rows = self.conn.execute(_SELECT_LINKS, {"import": import_id}).fetchall()
        return [
            MessageLinks(
                row["message_hash"].hex(), [reference.hex() for reference in row["reference_hashes"]], row["thread_id"]
            )
            for row in rows
        ]

    def set_threads(self, assignment: ThreadAssignment) -> None:
        threads, merged = assignment.threads, assignment.merged
        ids = sorted(set(threads.values()))
        self.conn.execute(
            "insert into threads (id, tenant_id) select id, %s from unnest(%s::uuid[]) id on conflict do nothing",
            [self.tenant_id, ids],
        )
        self.conn.execute(
            """
            update messages m set thread_id = t.thread_id
            from unnest(%s::bytea[], %s::uuid[]) as t (message_hash, thread_id)
            where m.message_hash = t.message_hash and m.thread_id is distinct from t.thread_id
            """,
            [[bytes.fromhex(key) for key in threads], list(threads.values())],
        )
        for old, new in merged.items():
            self.conn.execute("update messages set thread_id = %s where thread_id = %s", [new, old])
            self.conn.execute("delete from threads where id = %s", [old])


class PostgresImportUnits:
    def __init__(self, database: Database, bus: Bus | None) -> None:
        self._database, self._bus = database, bus

    @contextmanager
    def __call__(self, tenant_id: UUID) -> Iterator[PostgresImportUnit]:
        with self._database.tenant(tenant_id) as conn:
            yield PostgresImportUnit(conn, tenant_id, self._bus)


def _import(row: Row) -> Import:
    return Import(
        id=row["id"],
        status=ImportStatus(row["status"]),
        file_name=row["file_name"],
        size_bytes=row["size_bytes"],
        object_key=row["object_key"],
        created_by=row["created_by"],
        created_at=row["created_at"],
        object_version=row["object_version"],
        execution_arn=row["execution_arn"],
        chunks=row["chunks"],
        error=row["error"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        kind=ImportKind(row["kind"]),
        collection=row["collection"],
        format=Format(row["format"]) if row["format"] else None,
        payloads_bytes=row["payloads_bytes"],
        payloads_version=row["payloads_version"],
    )
