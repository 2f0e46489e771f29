"""What belongs to whom: the few questions that are asked before a tenant is known. For the platform's role."""

from collections.abc import Sequence
from uuid import UUID

from email_sender.adapters.postgres.database import Database


class Directory:
    def __init__(self, database: Database) -> None:
        self._database = database

    def tenants(self) -> Sequence[UUID]:
        with self._database.platform() as conn:
            rows = conn.execute("select id from tenants where kind = 'customer' order by id").fetchall()
        return [row["id"] for row in rows]

    def tenant_of_import(self, import_id: UUID) -> UUID | None:
        with self._database.platform() as conn:
            row = conn.execute("select tenant_id from imports where id = %s", [import_id]).fetchone()
        return row["tenant_id"] if row else None

    def tenant_of_run(self, run_id: UUID) -> UUID | None:
        with self._database.platform() as conn:
            row = conn.execute("select tenant_id from runs where id = %s", [run_id]).fetchone()
        return row["tenant_id"] if row else None
