"""The deletion of tenants on PostgreSQL, whose owner is no superuser."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from email_sender.adapters.files.wrapping_keys import FileWrappingKeys
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.database_setup import add_platform_tenant
from email_sender.adapters.postgres.migrate import migrate
from email_sender.adapters.postgres.tenant_deletion import PostgresDeletedTenants
from email_sender.adapters.postgres.tenant_directory import TenantDirectory
from email_sender.adapters.postgres.tenants import PostgresTenants
from email_sender.coordination.events import EventFactory
from email_sender.errors import Conflict, InvalidInput, KeyDestroyed, NotFound, Unavailable
from email_sender.kit.system_clock import new_id, now
from email_sender.security.tenant_deletion import TenantDeletion
from email_sender.security.tenants import TenantService
from tests.database import Cluster
from tests.functional.tenant_rows import fill_tables

OWNER, PASSWORD = "deleting_owner", uuid4().hex
EVENTS = EventFactory("security", now, new_id)
TABLES = """
select c.relname from pg_class c
where c.relnamespace = 'email_sender'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
  and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id')
"""


@dataclass
class Platform:
    url: str
    role: Database
    keys: FileWrappingKeys

    @property
    def tenants(self) -> TenantService:
        return TenantService(PostgresTenants(self.role, None, EVENTS), now)

    def deletion(self, *parts: Callable[[UUID], None]) -> TenantDeletion:
        return TenantDeletion(PostgresDeletedTenants(self.role, None, EVENTS), self.keys, parts, now)

    def connect(self) -> Connection[Any]:
        options = "-c search_path=email_sender,public"
        return psycopg.connect(self.url, autocommit=True, row_factory=dict_row, options=options)

    def rows(self, tenant: UUID) -> dict[str, int]:
        counts = {}
        with self.connect() as conn:
            for row in conn.execute(TABLES).fetchall():
                query = sql.SQL("select count(*) as n from {} where tenant_id = %s")
                found = conn.execute(query.format(sql.Identifier(row["relname"])), [tenant]).fetchone()
                counts[row["relname"]] = found["n"] if found else 0
        return {name: count for name, count in counts.items() if count}

    def add(self, name: str) -> UUID:
        tenant = self.tenants.create(new_id(), name, "Studio <hello@studio.example>").id
        fill_tables(self.connect, tenant)
        return tenant

    def pass_grace_period(self, tenant: UUID, at: datetime | None = None) -> None:
        with self.connect() as conn:
            conn.execute("update tenants set deletes_at = %s where id = %s", [at or now(), tenant])


@pytest.fixture
def platform(cluster: Cluster, tmp_path: Path) -> Iterator[Platform]:
    name = f"d{uuid4().hex}"
    with cluster.connect_as_owner() as conn:
        conn.execute(sql.SQL("drop role if exists {}").format(sql.Identifier(OWNER)))
        conn.execute(
            sql.SQL("create role {} login createrole password {}").format(sql.Identifier(OWNER), sql.Literal(PASSWORD))
        )
        for role in ("app", "platform", "backup", "gateway"):
            conn.execute(sql.SQL("grant {} to {} with admin option").format(*map(sql.Identifier, (role, OWNER))))
        conn.execute(sql.SQL("create database {} owner {}").format(*map(sql.Identifier, (name, OWNER))))
    url = cluster.server.url(name)
    with psycopg.connect(make_conninfo(url, user=OWNER, password=PASSWORD)) as conn:
        migrate(conn)
        add_platform_tenant(conn)
    role_database = Database(partial(make_conninfo, cluster.conninfo("platform"), dbname=name))
    yield Platform(url, role_database, FileWrappingKeys(tmp_path / "tenants"))
    role_database.close()
    with cluster.connect_as_owner() as conn:
        conn.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
        conn.execute(sql.SQL("drop role {}").format(sql.Identifier(OWNER)))


def test_a_tenant_is_deleted_with_every_row_and_no_other_tenant_loses_one(platform: Platform) -> None:
    tenant, other = platform.add("studio"), platform.add("other")
    before = platform.rows(other)
    assert platform.rows(tenant) == before
    assert len(before) > 30
    scheduled = platform.tenants.delete(tenant, "studio")
    assert scheduled.deletes_at is not None
    assert timedelta(days=6, hours=23) < scheduled.deletes_at - now() < timedelta(days=7)
    assert platform.deletion().due() == []
    platform.pass_grace_period(tenant)
    assert platform.deletion().due() == [tenant]
    deleted: list[UUID] = []
    assert platform.deletion(deleted.append).delete(tenant) > 30
    assert deleted == [tenant]
    assert platform.rows(tenant) == {}
    assert platform.rows(other) == before
    assert platform.deletion().due() == []
    with pytest.raises(NotFound):
        platform.tenants.get(tenant)
    assert tenant not in TenantDirectory(platform.role).all_tenants()
    with pytest.raises(KeyDestroyed):
        platform.keys.get(tenant)
    with platform.connect() as conn:
        row = conn.execute("select name, mail_from, aliases from tenants where id = %s", [tenant]).fetchone()
        assert row == {"name": "deleted", "mail_from": None, "aliases": []}
        (event,) = conn.execute("select detail from outbox where type = 'tenant.deleted'").fetchall()
        assert event["detail"]["data"] == {"tenant_id": str(tenant)}
        actions = conn.execute("select action from audit_log where object = %s order by sequence", [str(tenant)])
        expected = ["tenant.created", "tenant.deletion_scheduled", "tenant.deleted"]
        assert [entry["action"] for entry in actions] == expected


def test_a_process_that_dies_between_two_steps_leaves_the_tenant_due(platform: Platform) -> None:
    tenant = platform.add("studio")
    platform.tenants.delete(tenant, "studio")
    platform.pass_grace_period(tenant)

    def die(_tenant: UUID) -> None:
        raise Unavailable("The process died.")

    with pytest.raises(Unavailable):
        platform.deletion(die).delete(tenant)
    # The key is gone: nobody reads the rest.
    with pytest.raises(KeyDestroyed):
        platform.keys.get(tenant)
    assert platform.deletion().due() == [tenant]
    assert platform.rows(tenant)
    platform.deletion().delete(tenant)
    assert platform.rows(tenant) == {}


def test_an_operator_undoes_a_deletion_until_it_begins(platform: Platform) -> None:
    tenant = platform.add("studio")
    with pytest.raises(InvalidInput):
        platform.tenants.delete(tenant, "stuido")
    first = platform.tenants.delete(tenant, "studio")
    assert platform.tenants.delete(tenant, "studio").deletes_at == first.deletes_at
    resumed = platform.tenants.resume(tenant)
    assert (resumed.suspended_at, resumed.deletes_at) == (None, None)
    assert platform.deletion().due() == []
    platform.tenants.delete(tenant, "studio")
    platform.pass_grace_period(tenant)
    with pytest.raises(Conflict):
        platform.tenants.resume(tenant)


def test_only_a_tenant_that_is_due_can_be_deleted(platform: Platform) -> None:
    tenant = platform.add("studio")
    platform.tenants.delete(tenant, "studio")
    for refused in (tenant, new_id()):
        with pytest.raises(psycopg.errors.RaiseException), platform.role.platform() as conn:
            conn.execute("select delete_tenant_rows(%s)", [refused])
    assert platform.rows(tenant)


def test_no_function_can_delete_audit_entries_itself(platform: Platform) -> None:
    tenant = platform.add("studio")
    with platform.role.platform() as conn:
        conn.execute("select set_config('app.deleted_tenant', %s, true)", [str(tenant)])
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("delete from audit_log where tenant_id = %s", [tenant])
    assert "audit_log" in platform.rows(tenant)
