"""Create and migrate the database of the local cloud, with its roles' passwords and its two tenants."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import psycopg
from psycopg import sql

from email_sender.adapters.postgres.database_setup import add_platform_tenant, prepare_roles
from email_sender.adapters.postgres.migrate import migrate
from local.postgres import Postgres

DATABASE = "email_sender"


@dataclass(frozen=True, slots=True)
class Tenant:
    id: UUID
    name: str
    mail_from: str


TENANTS = (
    Tenant(UUID("01930000-0000-7000-8000-00000000000a"), "acme", "Acme Support <support@acme.example>"),
    Tenant(UUID("01930000-0000-7000-8000-00000000000b"), "globex", "Globex Press <press@globex.example>"),
)


def prepare(server: Postgres, passwords: dict[str, str], tenants: Sequence[Tenant] = TENANTS) -> list[str]:
    """Create and migrate the database, set the roles' passwords and add the tenants.

    Idempotent. Returns the names of the migrations that this call applied.
    """
    with psycopg.connect(server.url(), autocommit=True) as conn:
        if conn.execute("select 1 from pg_database where datname = %s", [DATABASE]).fetchone() is None:
            conn.execute(sql.SQL("create database {}").format(sql.Identifier(DATABASE)))
    with psycopg.connect(server.url(DATABASE)) as conn:
        prepare_roles(conn, passwords)
        applied = migrate(conn)
        add_platform_tenant(conn)
        for tenant in tenants:
            _add_tenant(conn, tenant.id, tenant.name, "customer", tenant.mail_from)
    return applied


def _add_tenant(
    conn: psycopg.Connection[tuple[object, ...]], tenant: UUID, name: str, kind: str, sender: str | None
) -> None:
    conn.execute(
        "insert into email_sender.tenants (id, name, kind, mail_from) values (%s, %s, %s, %s) on conflict do nothing",
        [tenant, name, kind, sender],
    )


def list_tenants(url: str) -> list[Tenant]:
    """Return every customer tenant, those of `make tenant` included."""
    with psycopg.connect(url) as conn:
        rows = conn.execute(
            "select id, name, mail_from from email_sender.tenants "
            "where kind = 'customer' and deleted_at is null order by created_at, id"
        ).fetchall()
    return [Tenant(UUID(str(tenant_id)), str(name), str(sender or "")) for tenant_id, name, sender in rows]


def add_tenant(url: str, tenant: Tenant) -> bool:
    """Store a customer tenant. Return False if a tenant with this name already exists."""
    with psycopg.connect(url) as conn:
        row = conn.execute("select id from email_sender.tenants where name = %s", [tenant.name]).fetchone()
        if row is not None:
            return False
        _add_tenant(conn, tenant.id, tenant.name, "customer", tenant.mail_from)
    return True
