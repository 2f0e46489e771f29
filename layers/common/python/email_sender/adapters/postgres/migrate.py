"""Apply migrations/*.sql, each once, in the order of their names."""

from hashlib import sha256
from pathlib import Path

from psycopg import Connection
from psycopg.rows import tuple_row

from email_sender.errors import Conflict

FOLDER = Path(__file__).parents[2] / "migrations"

# Any fixed number: it only has to be the same for every runner. ("email" in ASCII.)
_LOCK = 0x656D61696C


def migrate(conn: Connection[object], folder: Path = FOLDER) -> list[str]:
    """Apply the migrations that are missing and return their names.

    Either all of them are applied or none. Concurrent runs are safe: the second one waits and finds nothing to do.
    Applied migrations that are newer than all files belong to a newer version: a deployment that fails after its
    migrations goes back to the code before it, which must find the database acceptable.

    Raises:
        Conflict: an applied file was edited or removed, so the files no longer show what was applied.
    """
    with conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
        cursor.execute("create schema if not exists email_sender")
        cursor.execute(
            "create table if not exists email_sender.schema_migrations "
            "(name text primary key, digest text not null, applied_at timestamptz not null default now())"
        )
        applied_digests: dict[str, str] = dict(
            cursor.execute("select name, digest from email_sender.schema_migrations").fetchall()
        )
        files = {file.name: file.read_bytes() for file in sorted(folder.glob("*.sql"))}
        missing_files = sorted(name for name in set(applied_digests) - set(files) if name < max(files, default=""))
        if missing_files:
            raise Conflict(f"Migration {missing_files[0]} was applied, but its file is missing.")
        applied_names = []
        for name, sql in files.items():
            digest = sha256(sql).hexdigest()
            if name in applied_digests:
                if applied_digests[name] != digest:
                    raise Conflict(f"Migration {name} was edited after it was applied. Add a new migration instead.")
                continue
            cursor.execute(sql)
            cursor.execute("insert into email_sender.schema_migrations (name, digest) values (%s, %s)", [name, digest])
            applied_names.append(name)
    return applied_names
