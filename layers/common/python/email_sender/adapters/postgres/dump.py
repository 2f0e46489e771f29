"""Tables as COPY writes them, and what a dump says of each. Implements backups.model.Database."""

import gzip
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, cast

from psycopg import Connection, sql
from psycopg.rows import dict_row

from email_sender.adapters.postgres.database import Database, Row
from email_sender.adapters.postgres.serving import served_from
from email_sender.backups.model import DatabaseDump, ObjectWriter, OpenObject, Table
from email_sender.errors import Conflict
from email_sender.vectors.serving import Served

SCHEMA = "email_sender"
# What says what this platform alone did: its migrations are applied, not copied, and its backups lie in its bucket.
NOT_COPIED = frozenset({"schema_migrations", "backups", "backup_objects"})
# The server sends a row at a time; what is done with it costs less for many.
_PIECE_BYTES = 256 * 1024

# Partitions are read through their table; what is unlogged is a cache.
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
# What values look like as text, whatever the server or the role says.
_FORMS = (
    "set local timezone to 'UTC'",
    "set local datestyle to 'ISO, YMD'",
    "set local intervalstyle to 'postgres'",
    "set local bytea_output to 'hex'",
    "set local extra_float_digits to 1",
    "set local client_encoding to 'UTF8'",
)


@dataclass(slots=True)
class RowSum:
    """Counts rows, and sums their digests modulo 2^64: the same rows in any order give the same."""

    rows: int = 0
    checksum: int = 0
    _rest: bytes = field(default=b"", repr=False)

    def add(self, data: bytes) -> None:
        """Bytes of COPY's text: a row is a line, since it writes a line's end inside a value as two characters."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self.checksum += int.from_bytes(blake2b(line, digest_size=8).digest())
        self.rows += len(lines)
        self.checksum %= 2**64

    @property
    def is_whole(self) -> bool:
        """Whether the last row was ended."""
        return not self._rest


class PostgresDump:
    """For the role `backup`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def dump(self, write: OpenObject, prefix: str, more: Callable[[], bool]) -> tuple[DatabaseDump, Sequence[Served]]:
        # `platform`: a transaction of no tenant.
        with self._database.platform() as conn:
            conn.execute("set transaction isolation level repeatable read, read only")
            set_forms(conn)
            names, left_out = tables(conn)
            made: dict[str, Table] = {}
            for name in names:
                listed = columns(conn, name)
                key = f"{prefix}/{name}.copy.gz"
                found = RowSum()
                with write(key) as stored, packing(stored) as packed:
                    for data in copied(conn, name, listed):
                        if not more():
                            raise Conflict(
                                "The database is too large to be dumped by one function in its time: "
                                f"{len(made)} of {len(names)} tables were, and {found.rows} rows of {name}."
                            )
                        found.add(data)
                        packed.write(data)
                made[name] = Table(listed, found.rows, found.checksum, stored.stored)
            return self._described(conn, made, left_out), [
                served_from(row) for row in conn.execute("select * from served_collections order by name").fetchall()
            ]

    def _described(self, conn: Connection[Row], made: dict[str, Table], left_out: list[str]) -> DatabaseDump:
        row = conn.execute("select now() as at, current_setting('server_version') as server").fetchone() or {}
        return DatabaseDump(row["at"], row["server"], migrations(conn), left_out, made)


def packing(into: ObjectWriter) -> closing[gzip.GzipFile]:
    """No time in it: the same rows give the same bytes."""
    return closing(gzip.GzipFile("", "wb", 1, cast("Any", into), mtime=0))


def set_forms(conn: Connection[Any]) -> None:
    """For this transaction."""
    for statement in _FORMS:
        conn.execute(statement)


def tables(conn: Connection[Any]) -> tuple[list[str], list[str]]:
    """Those whose rows are copied, and those that are left out."""
    with conn.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(_TABLES).fetchall()
    left_out = [row["name"] for row in found if row["cache"] or row["name"] in NOT_COPIED]
    return [row["name"] for row in found if row["name"] not in left_out], left_out


def columns(conn: Connection[Any], table: str) -> list[str]:
    """But for those that the server makes of others."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return [row["name"] for row in cursor.execute(_COLUMNS, [table]).fetchall()]


def migrations(conn: Connection[Any]) -> dict[str, str]:
    with conn.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute("select name, digest from email_sender.schema_migrations order by name").fetchall()
    return {row["name"]: row["digest"] for row in found}


def copied(conn: Connection[Any], table: str, listed: Sequence[str]) -> Iterator[bytes]:
    """The table's rows as COPY's text, many at a time. A query, since COPY of a partitioned table has no rows."""
    query = sql.SQL("copy (select {} from {}) to stdout").format(
        sql.SQL(", ").join(map(sql.Identifier, listed)), sql.Identifier(SCHEMA, table)
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
