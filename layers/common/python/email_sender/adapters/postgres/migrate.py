"""Apply migrations/*.sql once each, in name order."""

from hashlib import sha256
from pathlib import Path

from psycopg import Connection
from psycopg.rows import tuple_row

from email_sender.errors import Conflict

FOLDER = Path(__file__).parents[2] / "migrations"

# Any fixed number: it only has to be the same for every runner. ("email" in ASCII.)
_LOCK = 0x656D61696C


def migrate(conn: Connection[object], folder: Path = FOLDER) -> list[str]:
    """Apply what is missing and return its names.

    All or nothing, and safe when two run at once: the second waits and finds nothing to do.

    Raises:
        Conflict: an applied file was edited or removed; what ran can no longer be told from the files.
    """
    with conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
        cursor.execute("create schema if not exists email_sender")
        cursor.execute(
            "create table if not exists email_sender.schema_migrations "
            "(name text primary key, digest text not null, applied_at timestamptz not null default now())"
        )
        done: dict[str, str] = dict(
            cursor.execute("select name, digest from email_sender.schema_migrations").fetchall()
        )
        files = {file.name: file.read_bytes() for file in sorted(folder.glob("*.sql"))}
        if gone := sorted(set(done) - set(files)):
            raise Conflict(f"Migration {gone[0]} was applied, but its file is not there: is this an older version?")
        applied = []
        for name, sql in files.items():
            digest = sha256(sql).hexdigest()
            if name in done:
                if done[name] != digest:
                    raise Conflict(f"Migration {name} was edited after it was applied: write a new one instead.")
                continue
            cursor.execute(sql)
            cursor.execute("insert into email_sender.schema_migrations (name, digest) values (%s, %s)", [name, digest])
            applied.append(name)
    return applied
