"""Find the tenant of an object, for callers that do not know the tenant yet. For the platform role."""

from collections.abc import Sequence
from uuid import UUID

from email_sender.adapters.postgres.database import Database


class TenantDirectory:
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

    def tenant_of_trigger(self, trigger_id: UUID) -> UUID | None:
        with self._database.platform() as conn:
            row = conn.execute("select tenant_id from triggers where id = %s", [trigger_id]).fetchone()
        return row["tenant_id"] if row else None

    def tenant_of_mail(self, provider_ids: list[str], recipients: list[str]) -> UUID | None:
        """Find the tenant of an incoming mail.

        That is the tenant that sent one of the emails `provider_ids`. Otherwise it is the tenant whose sender address
        is one of the `recipients`, unless several tenants have such an address.
        """
        with self._database.platform() as conn:
            row = conn.execute(
                "select tenant_id from emails where provider_message_id = any(%s) limit 1", [provider_ids]
            ).fetchone()
            if row is not None:
                return UUID(str(row["tenant_id"]))
            rows = conn.execute(
                "select id from tenants where lower(coalesce(substring(mail_from from '<([^<>]+)>'), mail_from)) "
                "= any(%s) limit 2",
                [[recipient.lower() for recipient in recipients]],
            ).fetchall()
        return rows[0]["id"] if len(rows) == 1 else None

    def tenant_of_run(self, run_id: UUID) -> UUID | None:
        with self._database.platform() as conn:
            row = conn.execute("select tenant_id from runs where id = %s", [run_id]).fetchone()
        return row["tenant_id"] if row else None
