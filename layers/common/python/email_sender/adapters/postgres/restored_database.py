"""Restore the database of a backup into an empty one, as the owner of its tables, who need not be a superuser."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol
from uuid import UUID

from psycopg import Connection, sql
from psycopg.types.json import Jsonb

from email_sender.adapters.files.stored_backup import StoredBackup
from email_sender.adapters.postgres import dump
from email_sender.adapters.postgres.migrate import FOLDER, migrate
from email_sender.backups import manifest as manifests
from email_sender.backups.model import DatabaseDump, Manifest, NotRestorable, Table


class KeyTransfer(Protocol):
    """The keys of the backup, and those of this platform."""

    def rewrap(self, tenant_id: UUID, wrapped: bytes) -> bytes:
        """Return a tenant's data key, wrapped by the keys of this platform. Raises NotRestorable."""
        ...

    def is_destroyed(self, tenant_id: UUID) -> bool:
        """Return whether the tenant was deleted after the backup was made."""
        ...


# Returns how many people were erased.
type EraseAgain = Callable[[Connection[Any]], int]

_SEQUENCES = """
select a.attname as name, pg_get_serial_sequence(a.attrelid::regclass::text, a.attname) as sequence
from pg_attribute a where a.attrelid = format('email_sender.%%I', %s::text)::regclass and a.attidentity <> ''
"""
# Constraints of partitions come and go with those of their parent table.
_FOREIGN_KEYS = """
select r.relname, c.conname, pg_get_constraintdef(c.oid) from pg_constraint c join pg_class r on r.oid = c.conrelid
where c.contype = 'f' and c.connamespace = 'email_sender'::regnamespace and c.conparentid = 0
"""
_TABLES_WITH_TRIGGERS = """
select distinct r.relname from pg_trigger t join pg_class r on r.oid = t.tgrelid
where not t.tgisinternal and r.relnamespace = 'email_sender'::regnamespace and not r.relispartition
"""
_SEALED_TABLES = """
select relname from pg_class where relnamespace = 'email_sender'::regnamespace and relforcerowsecurity
"""
# The deletion of tenants that are due removes the rows, points and files, after the points were restored too.
_DELETE_AGAIN = """
update email_sender.tenants
set suspended_at = coalesce(suspended_at, now()), deletes_at = now() + interval '1 day'
where id = %s and deleted_at is null returning id
"""
# Perhaps an operator changed their mind after the backup was made: there is time to do so again.
_WAIT_AGAIN = """
update email_sender.tenants set deletes_at = greatest(deletes_at, now() + interval '7 days')
where deletes_at is not null and deleted_at is null and id <> all(%s) returning name
"""
_TENANTS = "select id from email_sender.tenants where kind = 'customer'"
_ADD_RECORD = """
insert into email_sender.backups (id, status, started_at, finished_at, location, manifest, reason)
values (%s, 'completed', %s, %s, %s, %s, %s)
"""


def load(
    conn: Connection[Any],
    backup: StoredBackup,
    database_dump: DatabaseDump,
    keys: KeyTransfer,
    report: Callable[[str], None],
    erase_again: EraseAgain | None = None,
) -> None:
    """Restore all tables, then apply this version's newer migrations: all of it or nothing.

    The schema of a platform without tenants is replaced. `erase_again` erases the people who were erased after the
    backup was made. The caller commits.

    Raises:
        NotRestorable: there are tenants, the backup is of a newer version, or the restored rows do not match the
            manifest.
    """
    if has_tenants(conn):
        raise NotRestorable("There is data in the database already. A restore needs an empty database.")
    with conn.transaction():
        conn.execute("drop schema if exists email_sender cascade")
        _migrate_to(conn, database_dump.migrations)
        dump.set_text_format(conn)
        _check_columns(conn, database_dump)
        # Migrations may have inserted rows, which are in the backup too.
        table_names = sql.SQL(", ").join(_table_identifier(name) for name in database_dump.tables)
        conn.execute(sql.SQL("truncate {}").format(table_names))
        with _without_checks(conn):
            for name, table in database_dump.tables.items():
                _copy_in(conn, name, table, backup)
                _compare(conn, name, table)
                _advance_sequences(conn, name)
            rows = sum(table.rows for table in database_dump.tables.values())
            report(f"Restored {rows} rows of {len(database_dump.tables)} tables")
            deleted = [row[0] for row in conn.execute(_TENANTS).fetchall() if keys.is_destroyed(row[0])]
            report(f"Unwrapped {_rewrap_keys(conn, keys, deleted)} data keys")
            # Their rules and schedules are not in the backup. The sweep creates them.
            conn.execute("update email_sender.triggers set state = 'pending' where state = 'active'")
        for name in migrate(conn):
            report(f"Applied the migration {name}")
        for tenant_id in deleted:
            if conn.execute(_DELETE_AGAIN, [tenant_id]).fetchone() is None:
                # Deleted before the backup was made.
                continue
            report(f"The tenant {tenant_id} was deleted after the backup was made, and will be deleted again")
        for (name,) in conn.execute(_WAIT_AGAIN, [deleted]).fetchall():
            report(f"The tenant {name} will be deleted in seven days, as was planned when the backup was made")
        if erase_again is not None:
            with _without_row_security(conn):
                report(f"Erased {erase_again(conn)} people again, who were erased after the backup was made")


def has_tenants(conn: Connection[Any]) -> bool:
    """Return whether the database has tenants besides that of the operators."""
    if conn.execute("select to_regclass('email_sender.tenants')").fetchone() == (None,):
        return False
    row = conn.execute("select exists (select from email_sender.tenants where kind <> 'platform')").fetchone()
    return row == (True,)


def add_record(conn: Connection[Any], manifest: Manifest, location: str, restored_by: str) -> None:
    """Record the backup from which this platform was restored, since the records of backups are not restored."""
    conn.execute(
        _ADD_RECORD,
        [
            manifest.backup_id, manifest.started_at, manifest.finished_at, location, Jsonb(manifests.summary(manifest)),
            restored_by,
        ],
    )  # fmt: skip


def is_restored_by(conn: Connection[Any], restored_by: str) -> bool:
    """Return whether `add_record` was committed with this name of a restore."""
    if conn.execute("select to_regclass('email_sender.backups')").fetchone() == (None,):
        return False
    query = "select exists (select from email_sender.backups where reason = %s)"
    return conn.execute(query, [restored_by]).fetchone() == (True,)


def _migrate_to(conn: Connection[Any], migrations: Mapping[str, str]) -> None:
    """Create the schema of the backup, by the migrations that it had."""
    with TemporaryDirectory() as folder:
        for name in migrations:
            if not (FOLDER / name).is_file():
                raise NotRestorable(f"The backup has the migration {name}, which this version does not have.")
            shutil.copy(FOLDER / name, folder)
        migrate(conn, Path(folder))
    if dump.list_migrations(conn) != dict(migrations):
        raise NotRestorable("The migrations of the backup have the same names as this version's, but other contents.")


def _check_columns(conn: Connection[Any], database_dump: DatabaseDump) -> None:
    current_columns = {name: dump.list_columns(conn, name) for name in dump.list_tables(conn)[0]}
    backup_columns = {name: list(table.columns) for name, table in database_dump.tables.items()}
    if current_columns != backup_columns:
        differing_tables = sorted(
            name
            for name in current_columns.keys() | backup_columns.keys()
            if current_columns.get(name) != backup_columns.get(name)
        )
        raise NotRestorable(f"The backup's tables are not those of its migrations: {', '.join(differing_tables)}.")


@contextmanager
def _without_checks(conn: Connection[Any]) -> Iterator[None]:
    """Remove what would change or refuse rows for this block: foreign keys, triggers and row-level security.

    `session_replication_role` would do it too, but only a superuser may set it. The foreign keys are checked when they
    are added again.
    """
    foreign_keys = conn.execute(_FOREIGN_KEYS).fetchall()
    with_triggers = [table for (table,) in conn.execute(_TABLES_WITH_TRIGGERS).fetchall()]
    for table, name, _ in foreign_keys:
        _alter(conn, table, sql.SQL("drop constraint {}").format(sql.Identifier(name)))
    for table in with_triggers:
        _alter(conn, table, sql.SQL("disable trigger user"))
    with _without_row_security(conn):
        yield
    for table, name, definition in foreign_keys:
        _alter(conn, table, sql.SQL("add constraint {} {}").format(sql.Identifier(name), sql.SQL(definition)))
    for table in with_triggers:
        _alter(conn, table, sql.SQL("enable trigger user"))


@contextmanager
def _without_row_security(conn: Connection[Any]) -> Iterator[None]:
    """Let the owner of the tables see the rows of every tenant in this block."""
    sealed = [table for (table,) in conn.execute(_SEALED_TABLES).fetchall()]
    for table in sealed:
        _alter(conn, table, sql.SQL("no force row level security"))
    yield
    for table in sealed:
        _alter(conn, table, sql.SQL("force row level security"))


def _alter(conn: Connection[Any], table: str, change: sql.Composable) -> None:
    conn.execute(sql.SQL("alter table {} {}").format(_table_identifier(table), change))


def _copy_in(conn: Connection[Any], name: str, table: Table, backup: StoredBackup) -> None:
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    with (
        conn.cursor() as cursor,
        cursor.copy(sql.SQL("copy {} ({}) from stdin").format(_table_identifier(name), columns)) as copy,
    ):
        for chunk in backup.rows(table):
            copy.write(chunk)


def _compare(conn: Connection[Any], name: str, table: Table) -> None:
    """Check that the stored rows have the count and the checksum of the manifest."""
    row_sum = dump.RowChecksum()
    for data in dump.read_rows(conn, name, table.columns):
        row_sum.add(data)
    if (row_sum.rows, row_sum.checksum) != (table.rows, table.checksum):
        raise NotRestorable(
            f"{name} has {row_sum.rows} rows, which do not match the {table.rows} rows of the manifest."
        )


def _advance_sequences(conn: Connection[Any], name: str) -> None:
    """Set the table's sequences to continue after the restored rows."""
    for column, sequence in conn.execute(_SEQUENCES, [name]).fetchall():
        highest = sql.SQL("select max({}) from {}").format(sql.Identifier(column), _table_identifier(name))
        conn.execute(sql.SQL("select setval(%s, ({}))").format(highest), [sequence])


def _rewrap_keys(conn: Connection[Any], transfer: KeyTransfer, deleted: Sequence[UUID]) -> int:
    """Wrap the data keys by the keys of this platform, except those of deleted tenants. Return how many there are."""
    conn.execute("delete from email_sender.data_keys where tenant_id = any(%s)", [list(deleted)])
    keys = conn.execute("select tenant_id, purpose, version, wrapped from email_sender.data_keys").fetchall()
    for tenant_id, purpose, version, wrapped in keys:
        conn.execute(
            "update email_sender.data_keys set wrapped = %s where tenant_id = %s and purpose = %s and version = %s",
            [transfer.rewrap(tenant_id, bytes(wrapped)), tenant_id, purpose, version],
        )
    return len(keys)


def _table_identifier(table: str) -> sql.Identifier:
    return sql.Identifier(dump.SCHEMA, table)
