"""Serialise changes of the platform settings and record them in the audit log. For the platform role.

Implements coordination.configuration.SettingsUnit. Parameter Store has no compare-and-swap, so only the holder of this
lock reads a version and writes the next one.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime

from psycopg import Connection

from email_sender.adapters.postgres.audit import add_entry
from email_sender.adapters.postgres.database import Database, Row
from email_sender.coordination.audit import AuditEntry
from email_sender.coordination.configuration import AUDIT_OBJECT
from email_sender.coordination.events import PLATFORM_TENANT

# Shorter than the time that a caller waits for the API.
_LOCK_TIMEOUT = "10s"


class PostgresSettingsUnit:
    def __init__(self, conn: Connection[Row]) -> None:
        self._conn = conn

    def last_audited_version(self) -> tuple[datetime, int] | None:
        row = self._conn.execute(
            "select details ->> 'stored_at' as at, (details ->> 'version')::int as version from audit_log "
            "where tenant_id = %s and object = %s and details ? 'stored_at' order by sequence desc limit 1",
            [PLATFORM_TENANT, AUDIT_OBJECT],
        ).fetchone()
        return (datetime.fromisoformat(row["at"]), row["version"]) if row else None

    def audit(self, entry: AuditEntry) -> None:
        add_entry(self._conn, PLATFORM_TENANT, entry)

    def commit(self) -> None:
        self._conn.commit()


def settings_units(database: Database) -> Callable[[], AbstractContextManager[PostgresSettingsUnit]]:
    """Return a factory of units. A unit holds the lock until its transaction ends.

    The factory raises Unavailable if the lock is not released in time.
    """

    @contextmanager
    def open_unit() -> Iterator[PostgresSettingsUnit]:
        with database.platform() as conn:
            conn.execute("select set_config('lock_timeout', %s, true)", [_LOCK_TIMEOUT])
            conn.execute("select pg_advisory_xact_lock(hashtextextended('settings', 0))")
            yield PostgresSettingsUnit(conn)

    return open_unit
