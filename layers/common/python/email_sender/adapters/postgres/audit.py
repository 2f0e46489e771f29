"""The audit log: who did what. The database chains the entries by their hashes (migration 0010)."""

from uuid import UUID

from psycopg import Connection
from psycopg.types.json import Jsonb

from email_sender.adapters.postgres.database import Database, Row
from email_sender.coordination.audit import AuditEntry
from email_sender.coordination.events import PLATFORM_TENANT
from email_sender.errors import InvalidInput
from email_sender.paging import Page


def add_entry(conn: Connection[Row], tenant_id: UUID, entry: AuditEntry) -> None:
    """Add the entry in the transaction of the change that it describes."""
    conn.execute(
        "insert into audit_log (tenant_id, at, subject, action, object, details) values (%s, %s, %s, %s, %s, %s)",
        [tenant_id, entry.at, entry.subject, entry.action, entry.object, Jsonb(dict(entry.details))],
    )


def add_platform_entry(database: Database, entry: AuditEntry) -> None:
    """Add an operator's entry for a change that has no transaction.

    Raises:
        Unavailable: the database did not respond.
    """
    with database.platform() as conn:
        add_entry(conn, PLATFORM_TENANT, entry)
        conn.commit()


class PostgresAudit:
    """A tenant's entries, newest first. Operators' entries belong to the platform tenant."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, tenant_id: UUID, cursor: str | None, limit: int) -> Page[Row]:
        try:
            before = int(cursor) if cursor is not None else None
        except ValueError:
            raise InvalidInput.at("query:cursor", "Invalid cursor. Use next_cursor of the previous page.") from None
        with self._database.tenant(tenant_id) as conn:
            rows = conn.execute(
                "select sequence, at, subject, action, object, details, encode(hash, 'hex') as hash from audit_log "
                "where tenant_id = %s and (%s::bigint is null or sequence < %s) order by sequence desc limit %s",
                [tenant_id, before, before, limit + 1],
            ).fetchall()
        next_cursor = str(rows[limit - 1]["sequence"]) if len(rows) > limit else None
        return Page(rows[:limit], next_cursor)

    def broken_at(self, tenant_id: UUID, entries: int = 1_000) -> int | None:
        """Check the chain of the last `entries` entries.

        Returns the number of the first entry at which the chain is broken, or None if it is intact.
        """
        with self._database.tenant(tenant_id) as conn:
            row = conn.execute("select audit_broken_at(%s, %s) as broken", [tenant_id, entries]).fetchone()
        return row["broken"] if row else None
