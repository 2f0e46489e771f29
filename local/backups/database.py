"""Restore the database of a backup into an empty one."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
from psycopg import Connection, sql

from email_sender.adapters.postgres import dump
from email_sender.adapters.postgres.migrate import FOLDER, migrate
from email_sender.backups.model import DatabaseDump, Table
from email_sender.vectors.served_collections import ServedCollection
from local.backups import NotRestorable
from local.backups.backup_folder import BackupFolder, Report
from local.backups.wrapping_keys import Rewrap

_SEQUENCES = """
select a.attname as name, pg_get_serial_sequence(a.attrelid::regclass::text, a.attname) as sequence
from pg_attribute a where a.attrelid = format('email_sender.%%I', %s::text)::regclass and a.attidentity <> ''
"""


def load(url: str, folder: BackupFolder, database_dump: DatabaseDump, rewrap: Rewrap, report: Report) -> None:
    """Restore all tables in one transaction, then apply this version's newer migrations. `url` is the superuser's.

    Raises:
        NotRestorable: the database is not empty, the backup is of a newer version, or the restored rows do not match
            the manifest.
    """
    with psycopg.connect(url) as conn:
        if conn.execute("select to_regclass('email_sender.tenants')").fetchone() != (None,):
            raise NotRestorable("There is data in the database already. A restore needs an empty database.")
        conn.rollback()
        with conn.transaction():
            _migrate_to(conn, database_dump.migrations)
            # Without foreign key checks the order of tables does not matter. The backup is consistent.
            conn.execute("set local session_replication_role to replica")
            dump.set_text_format(conn)
            _check_columns(conn, database_dump)
            # Migrations may have inserted rows, which are in the backup too.
            table_names = sql.SQL(", ").join(_table_identifier(name) for name in database_dump.tables)
            conn.execute(sql.SQL("truncate {}").format(table_names))
            for name, table in database_dump.tables.items():
                _copy_in(conn, name, table, folder)
                _compare(conn, name, table)
                _advance_sequences(conn, name)
            report(
                f"Restored {sum(table.rows for table in database_dump.tables.values())} rows "
                f"of {len(database_dump.tables)} tables"
            )
            keys = _adapt_to_local_cloud(conn, rewrap)
            conn.execute("set local session_replication_role to origin")
            report(f"Unwrapped {keys} data keys")
        # The migrations that are newer than the backup.
        for name in migrate(conn):
            report(f"Applied the migration {name}")


def update_served_collections(url: str, collections: Sequence[ServedCollection]) -> None:
    """Store the changed settings of the restored collections."""
    with psycopg.connect(url) as conn:
        for collection in collections:
            conn.execute(
                "update email_sender.served_collections set size = %s, model = %s, lexical = %s where name = %s",
                [collection.size, collection.model, collection.lexical, collection.name],
            )


def _migrate_to(conn: Connection[Any], migrations: Any) -> None:
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


def _copy_in(conn: Connection[Any], name: str, table: Table, folder: BackupFolder) -> None:
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    with (
        conn.cursor() as cursor,
        cursor.copy(sql.SQL("copy {} ({}) from stdin").format(_table_identifier(name), columns)) as copy,
    ):
        for chunk in folder.rows(table):
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


def _adapt_to_local_cloud(conn: Connection[Any], rewrap: Rewrap) -> int:
    """Rewrap the data keys and reset the triggers, which depend on the backup's wrapping key and AWS rules.

    Returns the number of data keys.
    """
    keys = conn.execute("select tenant_id, purpose, version, wrapped from email_sender.data_keys").fetchall()
    for tenant_id, purpose, version, wrapped in keys:
        conn.execute(
            "update email_sender.data_keys set wrapped = %s where tenant_id = %s and purpose = %s and version = %s",
            [rewrap(tenant_id, bytes(wrapped)), tenant_id, purpose, version],
        )
    # The sweep creates their rules and schedules.
    conn.execute("update email_sender.triggers set state = 'pending' where state = 'active'")
    return len(keys)


def _table_identifier(table: str) -> sql.Identifier:
    return sql.Identifier(dump.SCHEMA, table)
