"""Tenants in PostgreSQL, for operators. Implements security.tenants.TenantStore."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from psycopg import Connection

from email_sender.adapters.postgres.audit import add_entry
from email_sender.adapters.postgres.database import Database, Row
from email_sender.adapters.postgres.unit_of_work import Unit
from email_sender.coordination.audit import AuditEntry
from email_sender.coordination.events import PLATFORM_TENANT, Bus, EventFactory
from email_sender.errors import Conflict, NotFound
from email_sender.security.acting import acting_subject
from email_sender.security.tenants import Tenant

_SELECT = """
select id, name, mail_from as sender, created_at, suspended_at, deletes_at from tenants
where kind = 'customer' and deleted_at is null
"""


class PostgresTenants:
    def __init__(self, database: Database, bus: Bus | None, events: EventFactory) -> None:
        self._database, self._bus, self._events = database, bus, events

    def page(self, after: UUID | None, limit: int) -> Sequence[Tenant]:
        with self._database.platform() as conn:
            rows = conn.execute(f"{_SELECT} and id > %s order by id limit %s", [after or UUID(int=0), limit]).fetchall()
        return [Tenant(**row) for row in rows]

    def get(self, tenant_id: UUID) -> Tenant:
        with self._database.platform() as conn:
            return _get(conn, tenant_id)

    def add(self, tenant: Tenant) -> Tenant:
        with self._database.platform() as conn:
            # The names of older tenants need not be unique, so the table has no constraint.
            conn.execute("select pg_advisory_xact_lock(hashtextextended('tenants', 0))")
            stored = conn.execute(f"{_SELECT} and (id = %s or name = %s)", [tenant.id, tenant.name]).fetchone()
            if stored is not None and stored["id"] == tenant.id:
                return Tenant(**stored)
            if stored is not None:
                raise Conflict(f"Another tenant is named {tenant.name}.")
            conn.execute(
                "insert into tenants (id, name, kind, mail_from, created_at) values (%s, %s, 'customer', %s, %s)",
                [tenant.id, tenant.name, tenant.sender, tenant.created_at],
            )
            unit = Unit(conn, PLATFORM_TENANT, self._bus)
            data = {"tenant_id": str(tenant.id), "name": tenant.name}
            unit.emit(self._events.build("tenant.created", PLATFORM_TENANT, tenant.id, data))
            self._audit(conn, "tenant.created", tenant.id, tenant.created_at)
            unit.commit()
        return tenant

    def set_suspended(self, tenant_id: UUID, at: datetime | None, changed_at: datetime) -> Tenant:
        with self._database.platform() as conn:
            tenant = _get(conn, tenant_id)
            if (tenant.suspended_at is None) == (at is None):
                return tenant
            # A resumed tenant is not deleted either, unless its deletion may have begun.
            changed = conn.execute(
                "update tenants set suspended_at = %s, deletes_at = case when %s::timestamptz is null then null "
                "else deletes_at end where id = %s and (deletes_at is null or deletes_at > now())",
                [at, at, tenant_id],
            )
            if not changed.rowcount:
                raise Conflict("The tenant is being deleted.")
            self._audit(conn, "tenant.suspended" if at else "tenant.resumed", tenant_id, changed_at)
            conn.commit()
            return _get(conn, tenant_id)

    def schedule_deletion(self, tenant_id: UUID, deletes_at: datetime, changed_at: datetime) -> Tenant:
        with self._database.platform() as conn:
            tenant = _get(conn, tenant_id)
            if tenant.deletes_at is not None:
                return tenant
            conn.execute(
                "update tenants set suspended_at = coalesce(suspended_at, %s), deletes_at = %s where id = %s",
                [changed_at, deletes_at, tenant_id],
            )
            self._audit(conn, "tenant.deletion_scheduled", tenant_id, changed_at)
            conn.commit()
            return _get(conn, tenant_id)

    def _audit(self, conn: Connection[Row], action: str, tenant_id: UUID, at: datetime) -> None:
        add_entry(conn, PLATFORM_TENANT, AuditEntry(at, acting_subject(), action, str(tenant_id)))


def _get(conn: Connection[Row], tenant_id: UUID) -> Tenant:
    row = conn.execute(f"{_SELECT} and id = %s", [tenant_id]).fetchone()
    if row is None:
        raise NotFound("Tenant not found.")
    return Tenant(**row)
