"""The database of a backup, into one that is empty."""

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
from email_sender.vectors.serving import Served
from local.restoring import NotRestorable
from local.restoring.files import BackupFolder, Report
from local.restoring.keys import Rewrap

_SEQUENCES = """
select a.attname as name, pg_get_serial_sequence(a.attrelid::regclass::text, a.attname) as sequence
from pg_attribute a where a.attrelid = format('email_sender.%%I', %s::text)::regclass and a.attidentity <> ''
"""


def load(url: str, folder: BackupFolder, dumped: DatabaseDump, rewrap: Rewrap, report: Report) -> None:
    """As the superuser. All of it is there in the end, or nothing is.

    Raises:
        NotRestorable: the database is not empty, the backup is of a newer version, or what was stored is not what the
            manifest says.
    """
    with psycopg.connect(url) as conn:
        if conn.execute("select to_regclass('email_sender.tenants')").fetchone() != (None,):
            raise NotRestorable("There is data in the database already: a backup is restored into an empty one.")
        conn.rollback()
        with conn.transaction():
            _migrate_to(conn, dumped.migrations)
            # References between rows were whole in the backup; the order of tables does not matter then.
            conn.execute("set local session_replication_role to replica")
            dump.set_forms(conn)
            _check_shape(conn, dumped)
            # A migration may have brought rows of its own; the backup has them too.
            everything = sql.SQL(", ").join(_named(name) for name in dumped.tables)
            conn.execute(sql.SQL("truncate {}").format(everything))
            for name, table in dumped.tables.items():
                _copy_in(conn, name, table, folder)
                _compare(conn, name, table)
                _advance(conn, name)
            report(f"restored: {sum(each.rows for each in dumped.tables.values())} rows of {len(dumped.tables)} tables")
            keys = _take_over(conn, rewrap)
            conn.execute("set local session_replication_role to origin")
            report(f"unwrapped: {keys} data keys")
        # What this version has since then.
        for name in migrate(conn):
            report(f"migrated: {name}")


def serve(url: str, served: Sequence[Served]) -> None:
    """What is served here, where it is otherwise than it was."""
    with psycopg.connect(url) as conn:
        for each in served:
            conn.execute(
                "update email_sender.served_collections set size = %s, model = %s, lexical = %s where name = %s",
                [each.size, each.model, each.lexical, each.name],
            )


def _migrate_to(conn: Connection[Any], wanted: Any) -> None:
    """The schema as it was, by the migrations that there were."""
    with TemporaryDirectory() as folder:
        for name in wanted:
            if not (FOLDER / name).is_file():
                raise NotRestorable(f"The backup knows the migration {name}, which this version does not have.")
            shutil.copy(FOLDER / name, folder)
        migrate(conn, Path(folder))
    if dump.migrations(conn) != dict(wanted):
        raise NotRestorable("The migrations of the backup have the names of this version's, and other contents.")


def _check_shape(conn: Connection[Any], dumped: DatabaseDump) -> None:
    here = {name: dump.columns(conn, name) for name in dump.tables(conn)[0]}
    there = {name: list(table.columns) for name, table in dumped.tables.items()}
    if here != there:
        other = sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name))
        raise NotRestorable(f"The backup's tables are not those of its migrations: {', '.join(other)}.")


def _copy_in(conn: Connection[Any], name: str, table: Table, folder: BackupFolder) -> None:
    listed = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    with conn.cursor() as cursor, cursor.copy(sql.SQL("copy {} ({}) from stdin").format(_named(name), listed)) as copy:
        for chunk in folder.rows(table):
            copy.write(chunk)


def _compare(conn: Connection[Any], name: str, table: Table) -> None:
    """What is stored now gives the same rows as were dumped."""
    found = dump.RowSum()
    for data in dump.copied(conn, name, table.columns):
        found.add(data)
    if (found.rows, found.checksum) != (table.rows, table.checksum):
        raise NotRestorable(f"{name} has {found.rows} rows that are not the {table.rows} of the manifest.")


def _advance(conn: Connection[Any], name: str) -> None:
    """Sequences go on after the rows that are there."""
    for column, sequence in conn.execute(_SEQUENCES, [name]).fetchall():
        highest = sql.SQL("select max({}) from {}").format(sql.Identifier(column), _named(name))
        conn.execute(sql.SQL("select setval(%s, ({}))").format(highest), [sequence])


def _take_over(conn: Connection[Any], rewrap: Rewrap) -> int:
    """What is bound to the place where it was: data keys to their wrapping key, triggers to AWS's rules."""
    keys = conn.execute("select tenant_id, purpose, version, wrapped from email_sender.data_keys").fetchall()
    for tenant_id, purpose, version, wrapped in keys:
        conn.execute(
            "update email_sender.data_keys set wrapped = %s where tenant_id = %s and purpose = %s and version = %s",
            [rewrap(tenant_id, bytes(wrapped)), tenant_id, purpose, version],
        )
    # The sweep makes their rules and schedules.
    conn.execute("update email_sender.triggers set state = 'pending' where state = 'active'")
    return len(keys)


def _named(table: str) -> sql.Identifier:
    return sql.Identifier(dump.SCHEMA, table)
