"""Tenants to delete, and what they have outside the database. Implements security.tenant_deletion.DeletedTenants."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from email_sender.adapters.postgres.audit import add_entry
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.encrypted_json import NoKeys
from email_sender.adapters.postgres.triggers import PostgresTriggers
from email_sender.adapters.postgres.unit_of_work import Unit
from email_sender.coordination.audit import AuditEntry
from email_sender.coordination.events import PLATFORM_TENANT, Bus, EventFactory
from email_sender.security.acting import acting_subject
from email_sender.workflows.triggers.model import StoredTrigger

_DUE = "select id from tenants where kind = 'customer' and deletes_at <= now() and deleted_at is null order by id"
# The row stays without what it says of the customer.
_MARK_DELETED = "update tenants set deleted_at = %s, name = 'deleted', mail_from = null, aliases = '{}' where id = %s"


class PostgresDeletedTenants:
    """For the platform role."""

    def __init__(self, database: Database, bus: Bus | None, events: EventFactory) -> None:
        self._database, self._bus, self._events = database, bus, events

    def due(self) -> Sequence[UUID]:
        with self._database.platform() as conn:
            return [row["id"] for row in conn.execute(_DUE).fetchall()]

    def delete_rows(self, tenant_id: UUID, at: datetime) -> int:
        with self._database.platform() as conn:
            row = conn.execute("select delete_tenant_rows(%s) as rows", [tenant_id]).fetchone()
            rows = row["rows"] if row else 0
            conn.execute(_MARK_DELETED, [at, tenant_id])
            unit = Unit(conn, PLATFORM_TENANT, self._bus)
            unit.emit(self._events.build("tenant.deleted", PLATFORM_TENANT, tenant_id, {"tenant_id": str(tenant_id)}))
            entry = AuditEntry(at, acting_subject(), "tenant.deleted", str(tenant_id), {"rows": rows})
            add_entry(conn, PLATFORM_TENANT, entry)
            unit.commit()
        return rows


class TenantContents:
    """For the app role."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def triggers(self, tenant_id: UUID) -> Sequence[StoredTrigger]:
        with self._database.tenant(tenant_id) as conn:
            return PostgresTriggers(conn, tenant_id, NoKeys()).list_all()

    def workflow_versions(self, tenant_id: UUID) -> Sequence[tuple[UUID, int]]:
        with self._database.tenant(tenant_id) as conn:
            rows = conn.execute("select workflow_id, version from workflow_versions").fetchall()
        return [(row["workflow_id"], row["version"]) for row in rows]

    def upload_keys(self, tenant_id: UUID) -> Sequence[str]:
        with self._database.tenant(tenant_id) as conn:
            return [row["object_key"] for row in conn.execute("select object_key from imports").fetchall()]
