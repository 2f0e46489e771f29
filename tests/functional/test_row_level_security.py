"""Row-level security between tenants, for every table in PostgreSQL's catalogue."""

import re
from collections.abc import Callable
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.migrate import FOLDER
from email_sender.coordination.events import PLATFORM_TENANT
from email_sender.kit.system_clock import new_id
from tests.database import Cluster
from tests.functional.tenant_rows import fill_tables

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
    "webhook_deliveries": {"tenant_id", "state", "next_attempt_at", "created_at"},
    # Only entries of the platform tenant.
    "audit_log": {"*"},
    # Failed messages: operators see only what identifies them (coordination.failed_events.redact_message).
    "failed_events": {"*"},
    "circuit_breakers": {"*"},
    # The ids of written points, not their content.
    "vector_changes": {"*"},
    "served_collections": {"*"},
    "vector_writes": {"collection"},
    # What operators set, and what a tenant used.
    "tenant_quotas": {"*"},
    "quota_use": {"*"},
    "backups": {"*"},
    "backup_objects": {"*"},
    # Received mail of no tenant: operators see whom it was for, and the bucket keeps it.
    "unclaimed_mail": {"*"},
    # Figures of the whole platform.
    "metric_totals": {"*"},
    "metric_batches": {"*"},
}


@pytest.fixture(scope="module")
def tenants(cluster: Cluster) -> tuple[UUID, UUID]:
    """Two tenants, with a row of each in every tenant table."""
    own_tenant, other_tenant = cluster.new_tenant(), cluster.new_tenant()
    for tenant in (own_tenant, other_tenant):
        fill_tables(cluster.connect_as_owner, tenant)
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


@pytest.mark.parametrize("role", ["app", "platform", "backup", "gateway"])
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


@pytest.mark.parametrize("role", ["app", "platform", "backup", "gateway"])
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
        ("metric_batches", "DELETE"),
        ("metric_batches", "INSERT"),
        ("metric_totals", "INSERT"),
        ("metric_totals", "UPDATE"),
        ("outbox", "DELETE"),
        ("outbox", "INSERT"),
        ("outbox", "UPDATE"),
        ("served_collections", "INSERT"),
        ("served_collections", "UPDATE"),
        ("tenant_quotas", "DELETE"),
        ("tenant_quotas", "INSERT"),
        ("tenant_quotas", "UPDATE"),
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
        fill_tables(cluster.connect_as_owner, tenant)
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


def test_every_reference_between_tables_has_an_index(cluster: Cluster) -> None:
    """Otherwise each deleted row would make PostgreSQL read a whole table. Rows of tenants are never deleted."""
    missing = cluster.query(
        "select c.conrelid::regclass::text as name, a.attname as column from pg_constraint c "
        "join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1] "
        "where c.contype = 'f' and c.connamespace = 'email_sender'::regnamespace and c.conparentid = 0 "
        "and c.confrelid <> 'email_sender.tenants'::regclass and not exists ("
        "select from pg_index i where i.indrelid = c.conrelid and i.indkey[0] = c.conkey[1])"
    )
    assert missing == []


def test_migrations_change_old_rows_also_as_an_owner_who_is_no_superuser() -> None:
    """Forced row-level security hides the rows of every tenant from the owner."""
    changing = [file.read_text() for file in FOLDER.glob("*.sql") if "\nupdate " in file.read_text()]
    assert changing
    for text in changing:
        for table in re.findall(r"^update (\w+)", text, re.M):
            assert f"alter table {table} no force row level security" in text, table
