"""Dump tables in the text format of COPY, with row counts and checksums. Implements backups.model.DatabaseDumper."""

import gzip
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, cast

from psycopg import Connection, sql
from psycopg.rows import dict_row

from email_sender.adapters.postgres.database import Database, Row
from email_sender.adapters.postgres.served_collections import served_collection_from
from email_sender.backups.model import DatabaseDump, ObjectWriter, OpenObject, Table
from email_sender.errors import Conflict
from email_sender.vectors.served_collections import ServedCollection

SCHEMA = "email_sender"
# These tables describe one installation: its migrations are applied, not copied, and its backups stay in its bucket.
SKIPPED_TABLES = frozenset({"schema_migrations", "backups", "backup_objects"})
# The server sends single rows; processing larger pieces costs less.
_PIECE_BYTES = 256 * 1024

# Partitions are read through their parent table. Unlogged tables are caches.
_TABLES = """
select c.relname as name, c.relpersistence = 'u' as cache
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'email_sender' and c.relkind in ('r', 'p') and not c.relispartition
order by c.relname
"""
_COLUMNS = """
select attname as name from pg_attribute
where attrelid = format('email_sender.%%I', %s::text)::regclass and attnum > 0 and not attisdropped
  and attgenerated = ''
order by attnum
"""
# Fix the text format of values, whatever the server or the role has configured.
_TEXT_FORMATS = (
    "set local timezone to 'UTC'",
    "set local datestyle to 'ISO, YMD'",
    "set local intervalstyle to 'postgres'",
    "set local bytea_output to 'hex'",
    "set local extra_float_digits to 1",
    "set local client_encoding to 'UTF8'",
)


@dataclass(slots=True)
class RowChecksum:
    """Counts rows and sums their digests modulo 2^64, so that the order of the rows does not matter."""

    rows: int = 0
    checksum: int = 0
    _partial_row: bytes = field(default=b"", repr=False)

    def add(self, data: bytes) -> None:
        """Add a piece of COPY's text. A line is a row, because COPY escapes line ends within values."""
        *lines, self._partial_row = (self._partial_row + data).split(b"\n")
        for line in lines:
            self.checksum += int.from_bytes(blake2b(line, digest_size=8).digest())
        self.rows += len(lines)
        self.checksum %= 2**64


class PostgresDump:
    """Dumps all tables as of one moment. For the backup role."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def dump(
        self, write: OpenObject, prefix: str, has_time_left: Callable[[], bool]
    ) -> tuple[DatabaseDump, Sequence[ServedCollection]]:
        # `platform` opens a transaction without a tenant.
        with self._database.platform() as conn:
            conn.execute("set transaction isolation level repeatable read, read only")
            set_text_format(conn)
            table_names, skipped_tables = list_tables(conn)
            dumped_tables: dict[str, Table] = {}
            for name in table_names:
                column_names = list_columns(conn, name)
                key = f"{prefix}/{name}.copy.gz"
                row_checksum = RowChecksum()
                with write(key) as object_writer, open_gzip_writer(object_writer) as gzip_file:
                    for data in read_rows(conn, name, column_names):
                        if not has_time_left():
                            raise Conflict(
                                "The database is too large to be dumped by one function: its time ended after "
                                f"{len(dumped_tables)} of {len(table_names)} tables and "
                                f"{row_checksum.rows} rows of {name}."
                            )
                        row_checksum.add(data)
                        gzip_file.write(data)
                dumped_tables[name] = Table(
                    column_names, row_checksum.rows, row_checksum.checksum, object_writer.stored_object
                )
            return self._describe_dump(conn, dumped_tables, skipped_tables), [
                served_collection_from(row)
                for row in conn.execute("select * from served_collections order by name").fetchall()
            ]

    def _describe_dump(
        self, conn: Connection[Row], dumped_tables: dict[str, Table], skipped_tables: list[str]
    ) -> DatabaseDump:
        row = conn.execute("select now() as at, current_setting('server_version') as server").fetchone() or {}
        return DatabaseDump(row["at"], row["server"], list_migrations(conn), skipped_tables, dumped_tables)


def open_gzip_writer(target: ObjectWriter) -> closing[gzip.GzipFile]:
    """Return a gzip writer that writes no time: the same rows give the same bytes."""
    return closing(gzip.GzipFile("", "wb", 1, cast("Any", target), mtime=0))


def set_text_format(conn: Connection[Any]) -> None:
    """Fix the text format of values for this transaction."""
    for statement in _TEXT_FORMATS:
        conn.execute(statement)


def list_tables(conn: Connection[Any]) -> tuple[list[str], list[str]]:
    """Return the names of the tables to copy, and of the tables to skip."""
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_TABLES).fetchall()
    skipped_tables = [row["name"] for row in rows if row["cache"] or row["name"] in SKIPPED_TABLES]
    return [row["name"] for row in rows if row["name"] not in skipped_tables], skipped_tables


def list_columns(conn: Connection[Any], table: str) -> list[str]:
    """Return the columns of a table, without generated columns."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return [row["name"] for row in cursor.execute(_COLUMNS, [table]).fetchall()]


def list_migrations(conn: Connection[Any]) -> dict[str, str]:
    """Return the digest of each applied migration by its name."""
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute("select name, digest from email_sender.schema_migrations order by name").fetchall()
    return {row["name"]: row["digest"] for row in rows}


def read_rows(conn: Connection[Any], table: str, column_names: Sequence[str]) -> Iterator[bytes]:
    """Yield the rows of a table in the text format of COPY, many rows at a time.

    The rows come from a query, because COPY of a partitioned table returns no rows.
    """
    query = sql.SQL("copy (select {} from {}) to stdout").format(
        sql.SQL(", ").join(map(sql.Identifier, column_names)), sql.Identifier(SCHEMA, table)
    )
    with conn.cursor() as cursor, cursor.copy(query) as copy:
        piece = bytearray()
        for data in copy:
            piece += data
            if len(piece) >= _PIECE_BYTES:
                yield bytes(piece)
                piece.clear()
        if piece:
            yield bytes(piece)
