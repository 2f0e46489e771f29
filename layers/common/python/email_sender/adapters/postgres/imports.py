"""Imports and the mail archive in PostgreSQL. Implements vectors.imports.model's units."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from uuid import UUID, uuid5

from psycopg import Connection, Cursor

from email_sender.adapters.postgres.contacts import ADDRESS, CONTENT, NAME
from email_sender.adapters.postgres.database import Database, Row
from email_sender.adapters.postgres.unit_of_work import Unit
from email_sender.coordination.events import Bus
from email_sender.security.ports import TenantKeys, Vault
from email_sender.vectors.imports.model import (
    AnsweredEmail,
    ArchivedMessage,
    Format,
    Import,
    ImportKind,
    ImportStatus,
    IncomingMessage,
    MessageLinks,
    Progress,
    RejectedRecord,
    ThreadAssignment,
)

_SAVE = """
update imports set status = %(status)s, object_version = %(version)s, execution_arn = %(execution)s,
    payloads_version = %(payloads_version)s,
    chunks = %(chunks)s, size_bytes = %(size)s, error = %(error)s, started_at = %(started)s, finished_at = %(finished)s
where id = %(id)s
"""
# Sorted by hash, so that two chunks with common contacts lock them in the same order.
_UPSERT_CONTACTS = """
insert into contacts as c (id, tenant_id, address_hash, address_enc, name_enc, last_seen_at)
select * from unnest(%s::uuid[], %s::uuid[], %s::bytea[], %s::bytea[], %s::bytea[], %s::timestamptz[])
on conflict (tenant_id, address_hash) do update set
    name_enc = coalesce(c.name_enc, excluded.name_enc),
    last_seen_at = greatest(c.last_seen_at, excluded.last_seen_at)
returning id, address_hash
"""
# A message whose import never joined its threads moves to the import that finds the message again.
_ADD_MESSAGE = """
insert into messages as m (id, tenant_id, import_id, message_hash, reference_hashes, contact_id, sent_at, automatic,
                      content_enc, problems)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
on conflict (tenant_id, message_hash) do update set import_id = excluded.import_id where m.thread_id is null
returning (m.xmax = 0) as is_new
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
_SET_REPLIED = """
update emails e set replied_at = %s, reply_id = a.message_id
from unnest(%s::text[], %s::uuid[]) as a (provider_message_id, message_id)
where e.provider_message_id = a.provider_message_id and e.replied_at is null
returning e.id, e.run_id, e.contact_id, e.reply_id
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


class PostgresArchiveUnit(PostgresImportUnit):
    """Imports with the archived mail, which is encrypted with the tenant's keys."""

    def __init__(self, conn: Connection[Row], tenant_id: UUID, bus: Bus | None, keys: TenantKeys) -> None:
        super().__init__(conn, tenant_id, bus)
        self._keys = keys

    def archive(self, import_id: UUID, messages: Sequence[IncomingMessage]) -> Sequence[ArchivedMessage]:
        contacts = self._store_contacts(messages)
        stored_messages = []
        with self.conn.pipeline():
            cursors = [self._store_message(import_id, message, contacts) for message in messages]
        for message, cursor in zip(messages, cursors, strict=True):
            key = self._keys.fingerprint(message.parsed.message_id)
            contact = contacts.get(self._sender_hash(message)) if self._sender_hash(message) else None
            stored_messages.append(
                ArchivedMessage(uuid5(self.tenant_id, key.hex()), contact, _is_new(cursor.fetchone()))
            )
        return stored_messages

    def mark_answered(self, answers: Mapping[str, UUID], at: datetime) -> Sequence[AnsweredEmail]:
        rows = self.conn.execute(_SET_REPLIED, [at, list(answers), list(answers.values())]).fetchall()
        return [AnsweredEmail(row["id"], row["run_id"], row["contact_id"], row["reply_id"]) for row in rows]

    def _store_contacts(self, messages: Sequence[IncomingMessage]) -> dict[bytes, UUID]:
        """Store the senders as contacts. Returns the contact ids by the hash of the address."""
        newest_by_sender: dict[bytes, IncomingMessage] = {}
        for message in messages:
            key = self._sender_hash(message)
            if key and (
                key not in newest_by_sender or _sent_timestamp(message) >= _sent_timestamp(newest_by_sender[key])
            ):
                newest_by_sender[key] = message
        if not newest_by_sender:
            return {}
        keys = sorted(newest_by_sender)
        senders = [newest_by_sender[key].parsed.sender for key in keys]
        rows = self.conn.execute(
            _UPSERT_CONTACTS,
            [
                [uuid5(self.tenant_id, f"contact/{key.hex()}") for key in keys],
                [self.tenant_id] * len(keys),
                keys,
                [self._keys.encrypt(sender.email, ADDRESS) for sender in senders if sender],
                [self._keys.encrypt(sender.name, NAME) if sender.name else None for sender in senders if sender],
                [newest_by_sender[key].parsed.sent_at for key in keys],
            ],
        ).fetchall()
        return {row["address_hash"]: row["id"] for row in rows}

    def _store_message(self, import_id: UUID, message: IncomingMessage, contacts: dict[bytes, UUID]) -> Cursor[Row]:
        parsed = message.parsed
        key = self._keys.fingerprint(parsed.message_id)
        references = dict.fromkeys((*parsed.references, *([parsed.in_reply_to] if parsed.in_reply_to else [])))
        return self.conn.execute(
            _ADD_MESSAGE,
            [
                uuid5(self.tenant_id, key.hex()),
                self.tenant_id,
                import_id,
                key,
                [self._keys.fingerprint(reference) for reference in references],
                contacts.get(self._sender_hash(message)),
                parsed.sent_at,
                parsed.is_automatic,
                self._keys.encrypt(json.dumps({"subject": parsed.subject, "text": parsed.text}), CONTENT),
                list(parsed.problems),
            ],
        )

    def _sender_hash(self, message: IncomingMessage) -> bytes:
        """Return the hash of the sender's address; empty for automatic mail and mail without a sender."""
        sender = message.parsed.sender
        return self._keys.fingerprint(sender.email) if sender and not message.parsed.is_automatic else b""


class PostgresImportUnits:
    def __init__(self, database: Database, bus: Bus | None) -> None:
        self._database, self._bus = database, bus

    @contextmanager
    def __call__(self, tenant_id: UUID) -> Iterator[PostgresImportUnit]:
        with self._database.tenant(tenant_id) as conn:
            yield PostgresImportUnit(conn, tenant_id, self._bus)


class PostgresArchiveUnits:
    def __init__(self, database: Database, vault: Vault, bus: Bus | None) -> None:
        self._database, self._vault, self._bus = database, vault, bus

    @contextmanager
    def __call__(self, tenant_id: UUID) -> Iterator[PostgresArchiveUnit]:
        # Read the keys before the transaction begins: the vault uses the same pool, which has one connection.
        keys = self._vault.keys_for(tenant_id)
        with self._database.tenant(tenant_id) as conn:
            yield PostgresArchiveUnit(conn, tenant_id, self._bus, keys)


def _is_new(row: Row | None) -> bool:
    return row is not None and bool(row["is_new"])


def _sent_timestamp(message: IncomingMessage) -> float:
    return message.parsed.sent_at.timestamp() if message.parsed.sent_at else 0.0


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
