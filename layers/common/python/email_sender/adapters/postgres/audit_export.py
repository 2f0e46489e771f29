"""Which entries of the audit log were exported. Implements coordination.findings.ExportedLog."""

from collections.abc import Sequence
from uuid import UUID

from email_sender.adapters.postgres.database import Database
from email_sender.coordination.audit import AuditEntry

_UNEXPORTED = """
select sequence, at, subject, action, object, details from audit_log
where tenant_id = %(tenant)s and sequence > coalesce(
    (select sequence from audit_exports where tenant_id = %(tenant)s), 0)
order by sequence limit %(limit)s
"""
_MARK = """
insert into audit_exports as e (tenant_id, sequence) values (%s, %s)
on conflict (tenant_id) do update set sequence = greatest(e.sequence, excluded.sequence)
"""


class PostgresExportedLog:
    def __init__(self, database: Database) -> None:
        self._database = database

    def unexported(self, tenant_id: UUID, limit: int) -> Sequence[tuple[int, AuditEntry]]:
        with self._database.tenant(tenant_id) as conn:
            rows = conn.execute(_UNEXPORTED, {"tenant": tenant_id, "limit": limit}).fetchall()
        return [
            (row["sequence"], AuditEntry(row["at"], row["subject"], row["action"], row["object"], row["details"]))
            for row in rows
        ]

    def mark_exported(self, tenant_id: UUID, sequence: int) -> None:
        with self._database.tenant(tenant_id) as conn:
            conn.execute(_MARK, [tenant_id, sequence])
            conn.commit()
