"""Row-level security between tenants, for every table in PostgreSQL's catalogue."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from email_sender.adapters.postgres.database import Database
from email_sender.coordination.events import PLATFORM_TENANT
from email_sender.kit.system_clock import new_id
from tests.database import Cluster

_TABLES = """
select c.oid, c.relname as name, c.relrowsecurity as enabled, c.relforcerowsecurity as forced, c.relispartition as part
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'email_sender' and c.relkind in ('r', 'p')
  and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id')
order by c.relname
"""
# Columns that the platform role may read, by table: "*" is the whole row.
_PLATFORM_READS = {
    "outbox": {"*"},
    "events": {"*"},
    "tenants": {"*"},
    "event_sources": {"*"},
    "runs": {"id", "tenant_id", "status", "created_at"},
    "imports": {"id", "tenant_id", "status", "created_at"},
    "triggers": {"id", "tenant_id", "state"},
    "emails": {"tenant_id", "provider_message_id", "status"},
    "managers": {"*"},
    "notification_deliveries": {"state"},
    # Only entries of the platform tenant.
    "audit_log": {"*"},
    # Failed messages: operators see only what identifies them (coordination.failed_events.redact_message).
    "failed_events": {"*"},
    "circuit_breakers": {"*"},
    # The ids of written points, not their content.
    "vector_changes": {"*"},
    "served_collections": {"*"},
    "vector_writes": {"collection"},
    "backups": {"*"},
    "backup_objects": {"*"},
    # Received mail of no tenant: operators see whom it was for, and the bucket keeps it.
    "unclaimed_mail": {"*"},
}


@pytest.fixture(scope="module")
def tenants(cluster: Cluster) -> tuple[UUID, UUID]:
    """Two tenants, with a row of each in every tenant table."""
    own_tenant, other_tenant = cluster.new_tenant(), cluster.new_tenant()
    for tenant in (own_tenant, other_tenant):
        _fill(cluster, tenant)
    cluster.execute(
        "insert into audit_log (tenant_id, at, subject, action, object, details) "
        "values (%s, now(), 's', 'a', 'o', '{}')",
        PLATFORM_TENANT,
    )
    cluster.execute(
        "insert into circuit_breakers (dependency, sandbox, state) values ('x', %s, 'closed')", str(own_tenant)
    )
    cluster.execute(
        "insert into failed_events (id, consumer, digest, body, reason, status, first_seen, last_seen) "
        "values (%s, 'x', %s, '', '', 'failed', now(), now())",
        new_id(),
        own_tenant.bytes,
    )
    cluster.execute("insert into managers (id, name, status) values (%s, 'walls', 'running')", new_id())
    return own_tenant, other_tenant


@pytest.fixture(scope="module")
def tables(cluster: Cluster) -> list[str]:
    return [row["name"] for row in cluster.query(_TABLES) if not row["part"]]


def test_every_tenant_table_has_row_level_security_enabled_and_forced(cluster: Cluster) -> None:
    flags_by_table = {row["name"]: (row["enabled"], row["forced"]) for row in cluster.query(_TABLES) if not row["part"]}
    assert len(flags_by_table) > 15
    assert {name for name, flags in flags_by_table.items() if flags != (True, True)} == set()


def test_a_partition_cannot_be_accessed_directly(cluster: Cluster) -> None:
    partitions = [row["name"] for row in cluster.query(_TABLES) if row["part"]]
    assert "events_default" in partitions
    for name in partitions:
        for role in ("app", "platform"):
            (row,) = cluster.query(
                "select has_table_privilege(%s, %s, 'select,insert,update,delete') as may", role, f"email_sender.{name}"
            )
            assert not row["may"], (role, name)


def test_every_tenant_table_has_rows_for_these_tests(
    cluster: Cluster, tenants: tuple[UUID, UUID], tables: list[str]
) -> None:
    for tenant in tenants:
        assert [name for name in tables if _count(cluster, name, tenant) == 0] == []


def test_a_tenant_sees_only_its_own_rows(app_role: Database, tenants: tuple[UUID, UUID], tables: list[str]) -> None:
    own_tenant, _ = tenants
    for name in tables:
        with app_role.tenant(own_tenant) as conn:
            rows = conn.execute(sql.SQL("select tenant_id from {}").format(sql.Identifier(name))).fetchall()
        assert {row["tenant_id"] for row in rows} == {own_tenant}, name


def test_a_tenant_cannot_change_or_delete_rows_of_another(
    cluster: Cluster, app_role: Database, tenants: tuple[UUID, UUID], tables: list[str]
) -> None:
    own_tenant, other_tenant = tenants
    for name in tables:
        for statement in (
            "update {} set tenant_id = tenant_id where tenant_id = %s",
            "delete from {} where tenant_id = %s",
        ):
            before = _count(cluster, name, other_tenant)
            with app_role.tenant(own_tenant) as conn:
                try:
                    changed_rows = conn.execute(
                        sql.SQL(statement).format(sql.Identifier(name)), [other_tenant]
                    ).rowcount
                except psycopg.errors.InsufficientPrivilege:
                    changed_rows = 0
                conn.commit()
            assert (changed_rows, _count(cluster, name, other_tenant)) == (0, before), (name, statement)


def test_a_tenant_cannot_write_a_row_for_another(
    cluster: Cluster, app_role: Database, tenants: tuple[UUID, UUID], tables: list[str]
) -> None:
    """The row is one of the other tenant's, read as the owner, so only row-level security can refuse it."""
    own_tenant, other_tenant = tenants
    for name in tables:
        types = {
            row["column_name"]: row["data_type"]
            for row in cluster.query(
                "select column_name, data_type from information_schema.columns where table_schema = 'email_sender' "
                "and table_name = %s and is_identity = 'NO'",
                name,
            )
        }
        column_list = sql.SQL(", ").join(map(sql.Identifier, types))
        with cluster.connect_as_owner() as owner:
            query = sql.SQL("select {} from {} where tenant_id = %s limit 1").format(column_list, sql.Identifier(name))
            row = owner.execute(query, [other_tenant]).fetchone()
        assert row is not None
        values = [Jsonb(row[column]) if kind == "jsonb" else row[column] for column, kind in types.items()]
        insert = sql.SQL("insert into {} ({}) values ({})").format(
            sql.Identifier(name), column_list, sql.SQL(", ").join([sql.Placeholder()] * len(types))
        )
        with app_role.tenant(own_tenant) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute(insert, values)


def test_a_tenant_cannot_move_its_row_to_another(
    app_role: Database, tenants: tuple[UUID, UUID], tables: list[str]
) -> None:
    own_tenant, other_tenant = tenants
    for name in tables:
        with app_role.tenant(own_tenant) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute(sql.SQL("update {} set tenant_id = %s").format(sql.Identifier(name)), [other_tenant])


def test_without_a_tenant_nothing_is_visible(app_role: Database, tenants: tuple[UUID, UUID], tables: list[str]) -> None:
    for name in [*tables, "tenants"]:
        with app_role.platform() as conn:
            assert conn.execute(sql.SQL("select 1 from {}").format(sql.Identifier(name))).fetchall() == [], name


@pytest.mark.parametrize("ends", ["commit", "rollback", "error"])
def test_a_pooled_connection_carries_no_tenant_to_the_next_request(
    cluster: Cluster, tenants: tuple[UUID, UUID], ends: str
) -> None:
    database = cluster.database("app", size=1)
    try:
        if ends == "error":
            with pytest.raises(psycopg.errors.SyntaxError), database.tenant(tenants[0]) as conn:
                conn.execute("no sql")
        else:
            with database.tenant(tenants[0]) as conn:
                assert conn.execute("select count(*) as n from contacts").fetchone() == {"n": 1}
                backend = conn.info.backend_pid
                if ends == "commit":
                    conn.commit()
        with database.platform() as conn:
            if ends != "error":
                assert conn.info.backend_pid == backend
            assert conn.execute("select count(*) as n from contacts").fetchone() == {"n": 0}
            assert conn.execute("select current_tenant() as t").fetchone() == {"t": None}
    finally:
        database.close()


def test_a_tenant_sees_only_itself_in_the_tenants_table(app_role: Database, tenants: tuple[UUID, UUID]) -> None:
    with app_role.tenant(tenants[0]) as conn:
        assert [row["id"] for row in conn.execute("select id from tenants").fetchall()] == [tenants[0]]


@pytest.mark.parametrize("role", ["app", "platform", "backup"])
def test_a_role_owns_nothing_and_cannot_bypass_row_level_security(cluster: Cluster, role: str) -> None:
    (role_flags,) = cluster.query(
        "select rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication from pg_roles where rolname = %s",
        role,
    )
    assert set(role_flags.values()) == {False}
    assert (
        cluster.query("select 1 from pg_class c join pg_roles r on r.oid = c.relowner where r.rolname = %s", role) == []
    )
    assert (
        cluster.query("select 1 from pg_auth_members m join pg_roles r on r.oid = m.member where r.rolname = %s", role)
        == []
    )


def test_the_backup_role_reads_every_row_and_writes_nothing(
    cluster: Cluster, tenants: tuple[UUID, UUID], tables: list[str]
) -> None:
    all_tables = cluster.query(
        "select c.relname as name, c.relispartition as part from pg_class c "
        "where c.relnamespace = 'email_sender'::regnamespace and c.relkind in ('r', 'p')"
    )
    database = cluster.database("backup")
    try:
        for table in all_tables:
            with database.platform() as conn:
                privilege_query = "select has_table_privilege('backup', %s, %s) as may"
                qualified_name = f"email_sender.{table['name']}"
                privilege = conn.execute(privilege_query, [qualified_name, "select"]).fetchone()
                assert privilege == {"may": not table["part"]}, table
                assert conn.execute(
                    privilege_query, [qualified_name, "insert,update,delete,truncate,references,trigger"]
                ).fetchone() == {"may": False}, table
        for name in tables:
            with database.platform() as conn:
                rows = conn.execute(sql.SQL("select tenant_id from {}").format(sql.Identifier(name))).fetchall()
            assert set(tenants) <= {row["tenant_id"] for row in rows}, name
        with database.platform() as conn:
            conn.execute("set transaction read write")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute("delete from contacts")
    finally:
        database.close()


def test_a_table_sealed_later_is_readable_by_the_backup_role(cluster: Cluster) -> None:
    with cluster.connect_as_owner() as conn, conn.transaction(force_rollback=True):
        conn.execute("create table later (tenant_id uuid not null)")
        conn.execute("select seal('later', 'select')")
        conn.execute("insert into later values (gen_random_uuid())")
        conn.execute("set local role backup")
        assert conn.execute("select count(*) as n from later").fetchone() == {"n": 1}


@pytest.mark.parametrize("role", ["app", "platform", "backup"])
@pytest.mark.parametrize(
    "statement",
    [
        "alter table contacts disable row level security",
        "alter table contacts no force row level security",
        "drop policy tenant on contacts",
        "create table email_sender.mine (n int)",
        "truncate contacts",
        "set role postgres",
        "update email_sender.schema_migrations set digest = ''",
    ],
)
def test_a_role_cannot_disable_row_level_security(cluster: Cluster, role: str, statement: str) -> None:
    with psycopg.connect(cluster.conninfo(role)) as conn:
        # The backup role is read-only by default, but that must not be its only protection.
        conn.execute("set transaction read write")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute(statement.encode())


def test_the_platform_role_reads_what_it_needs_and_no_content(
    cluster: Cluster, platform_role: Database, tenants: tuple[UUID, UUID]
) -> None:
    columns = cluster.query(
        "select c.table_name as t, c.column_name as c from information_schema.columns c "
        "join pg_class p on p.oid = ('email_sender.' || c.table_name)::regclass "
        "where c.table_schema = 'email_sender' and not p.relispartition"
    )
    for column in columns:
        readable_columns = _PLATFORM_READS.get(column["t"], set())
        query = sql.SQL("select {} from {} limit 1").format(sql.Identifier(column["c"]), sql.Identifier(column["t"]))
        with platform_role.platform() as conn:
            if "*" in readable_columns or column["c"] in readable_columns:
                assert len(conn.execute(query).fetchall()) == 1, column
            else:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    conn.execute(query)


def test_the_platform_role_has_exactly_these_write_privileges(cluster: Cluster) -> None:
    grants = cluster.query(
        "select table_name as t, privilege_type as p from information_schema.role_table_grants "
        "where grantee = 'platform' and privilege_type <> 'SELECT' order by 1, 2"
    )
    assert [(row["t"], row["p"]) for row in grants] == [
        ("audit_log", "INSERT"),
        ("backup_objects", "DELETE"),
        ("backup_objects", "INSERT"),
        ("backup_objects", "UPDATE"),
        ("backups", "DELETE"),
        ("backups", "INSERT"),
        ("backups", "UPDATE"),
        ("circuit_breakers", "DELETE"),
        ("events", "INSERT"),
        ("failed_events", "DELETE"),
        ("failed_events", "INSERT"),
        ("failed_events", "UPDATE"),
        ("managers", "INSERT"),
        ("managers", "UPDATE"),
        ("outbox", "DELETE"),
        ("outbox", "INSERT"),
        ("outbox", "UPDATE"),
        ("served_collections", "INSERT"),
        ("served_collections", "UPDATE"),
        ("unclaimed_mail", "DELETE"),
        ("unclaimed_mail", "INSERT"),
        ("unclaimed_mail", "UPDATE"),
        ("vector_changes", "DELETE"),
        ("vector_changes", "UPDATE"),
    ]


def test_deleting_a_contact_deletes_its_mail_and_nothing_of_another_tenant(
    cluster: Cluster, app_role: Database, new_tenant: Callable[[], UUID]
) -> None:
    own_tenant, other_tenant = new_tenant(), new_tenant()
    for tenant in (own_tenant, other_tenant):
        _fill(cluster, tenant)
    with app_role.tenant(own_tenant) as conn:
        conn.execute("delete from contacts")
        conn.commit()
    for name in ("contacts", "messages", "drafts", "emails"):
        assert (_count(cluster, name, own_tenant), _count(cluster, name, other_tenant)) == (0, 1), name


def _count(cluster: Cluster, table: str, tenant: UUID) -> int:
    with cluster.connect_as_owner() as conn:
        query = sql.SQL("select count(*) as n from {} where tenant_id = %s").format(sql.Identifier(table))
        row = conn.execute(query, [tenant]).fetchone()
    assert row is not None
    return int(row["n"])


def _fill(cluster: Cluster, tenant: UUID) -> None:
    """Insert one row into every table. References point to rows of the same tenant."""
    now, random_bytes = datetime.now(UTC), os.urandom(32)
    contact, thread, template, draft, workflow, run, upload, job, notification, channel = (new_id() for _ in range(10))
    email = new_id()
    rows: dict[str, dict[str, Any]] = {
        "data_keys": {"purpose": "content", "version": 1, "wrapped": random_bytes},
        "idempotency": {
            "subject": "s",
            "route": "r",
            "key": "k",
            "body_hash": random_bytes,
            "operation_id": new_id(),
            "lease_until": now,
        },
        "outbox": {"id": new_id(), "source": "email_sender.x", "type": "x", "detail": Jsonb({})},
        "events": {"id": new_id(), "type": "x", "payload": Jsonb({}), "source": "x", "occurred_at": now},
        "audit_log": {"at": now, "subject": "s", "action": "a", "object": "o", "details": Jsonb({})},
        "event_sources": {"account": str(tenant), "source": "crm"},
        "contacts": {"id": contact, "address_hash": random_bytes, "address_enc": random_bytes},
        "threads": {"id": thread},
        "messages": {
            "id": new_id(),
            "import_id": upload,
            "message_hash": random_bytes,
            "contact_id": contact,
            "thread_id": thread,
            "content_enc": random_bytes,
        },
        "templates": {"id": template, "name": "t", "version": 1},
        "template_versions": {
            "template_id": template,
            "version": 1,
            "subject": "s",
            "body_text": "b",
            "variables": Jsonb([]),
            "created_by": "ann",
        },
        "drafts": {
            "id": draft,
            "run_id": run,
            "step": "d",
            "item": -1,
            "contact_id": contact,
            "template_id": template,
            "template_version": 1,
            "content_enc": random_bytes,
            "sha256": "x",
        },
        "emails": {
            "id": email,
            "run_id": run,
            "step": "s",
            "contact_id": contact,
            "draft_id": draft,
            "sha256": "x",
            "status": "sent",
            "lease_until": now,
        },
        "email_reports": {"email_id": email, "kind": "delayed", "at": now},
        "temporary_bounces": {"address_hash": random_bytes, "email_id": email, "at": now},
        "deleted_contacts": {"contact_id": new_id(), "address_hash": random_bytes, "message_ids": [], "import_ids": []},
        "erasures": {
            "contact_id": new_id(),
            "address_hash": random_bytes,
            "erased_by": "ann",
            "erased_at": now,
            "counts": Jsonb({}),
        },
        "audit_seals": {"sequence": 1, "hash": random_bytes, "mac": random_bytes, "sealed_at": now},
        "suppressions": {"address_hash": random_bytes, "address_enc": random_bytes, "reason": "manual"},
        "workflows": {"id": workflow, "name": "w", "definition": Jsonb({})},
        "workflow_versions": {"workflow_id": workflow, "version": 1, "definition": Jsonb({}), "published_by": "ann"},
        "runs": {
            "id": run,
            "workflow_id": workflow,
            "version": 1,
            "status": "succeeded",
            "inputs": Jsonb({}),
            "started_by": "ann",
            "role": "user",
        },
        "run_steps": {"run_id": run, "step": "s", "action": "a", "status": "succeeded", "started_at": now},
        "approvals": {
            "id": new_id(),
            "run_id": run,
            "step": "a",
            "title": "t",
            "drafts": Jsonb([]),
            "task_token": "t",
            "expires_at": now,
        },
        "task_waits": {
            "run_id": run,
            "step": "w",
            "item": -1,
            "kind": "run",
            "subject": run,
            "task_token": "t",
            "asked_at": now,
            "expires_at": now,
        },
        "triggers": {
            "id": new_id(),
            "workflow_id": workflow,
            "kind": "webhook",
            "definition": Jsonb({}),
            "state": "active",
            "started_by": "ann",
            "role": "user",
        },
        "imports": {
            "id": upload,
            "kind": "mailbox",
            "status": "completed",
            "file_name": "f",
            "size_bytes": 1,
            "object_key": "k",
            "created_by": "ann",
        },
        "import_chunks": {
            "import_id": upload,
            "ordinal": 0,
            "messages": 1,
            "stored": 1,
            "duplicates": 0,
            "failed": 0,
        },
        "import_errors": {"import_id": upload, "ordinal": 0, "reason": "r"},
        "vector_writes": {"collection": "c"},
        "vector_changes": {"collection": "c", "point": new_id()},
        "vector_jobs": {
            "id": job,
            "kind": "migration",
            "status": "completed",
            "collection": "c",
            "source": Jsonb({}),
            "target": Jsonb({}),
            "created_by": "ann",
            "created_at": now,
        },
        "vector_job_parts": {"job_id": job, "phase": "copy", "ordinal": 0},
        "notification_channels": {"id": channel, "kind": "log", "name": "n", "min_level": "info"},
        "notifications": {
            "id": notification,
            "key_hash": random_bytes,
            "level": "info",
            "content_enc": random_bytes,
            "count": 1,
            "told": 1,
            "first_at": now,
            "last_at": now,
            "window_ends": now,
        },
        "notification_requests": {"event_id": new_id(), "notification_id": notification, "at": now},
        "notification_deliveries": {
            "id": new_id(),
            "notification_id": notification,
            "channel_id": channel,
            "repeats": 1,
            "state": "delivered",
            "next_attempt_at": now,
        },
        "embeddings": {"model": "m", "text_hash": random_bytes, "vector": random_bytes, "expires_at": now},
    }
    with cluster.connect_as_owner() as conn:
        for table, values in rows.items():
            names = sql.SQL(", ").join(map(sql.Identifier, ["tenant_id", *values]))
            placeholders = sql.SQL(", ").join([sql.Placeholder()] * (len(values) + 1))
            insert = sql.SQL("insert into {} ({}) values ({})").format(sql.Identifier(table), names, placeholders)
            conn.execute(insert, [tenant, *values.values()])
        conn.execute(
            "insert into served_collections (name, stored_as, size, distance, lexical) "
            "values ('c', 'c-1', 8, 'Cosine', false) on conflict do nothing"
        )
        backup = UUID(int=1)
        conn.execute(
            "insert into backups (id, started_at, location) values (%s, now(), 's3://b/f') on conflict do nothing",
            [backup],
        )
        conn.execute(
            "insert into unclaimed_mail (id, object_key, recipients, reason, received_at) "
            "values (%s, 'ses/m', '{}', 'r', now()) on conflict do nothing",
            [backup],
        )
        conn.execute(
            "insert into backup_objects (backup_id, collection, part, after, position, key, points, checksum, bytes, "
            "sha256) values (%s, 'c', 0, '', 'p', 'k', 1, 1, 1, 'x') on conflict do nothing",
            [backup],
        )
