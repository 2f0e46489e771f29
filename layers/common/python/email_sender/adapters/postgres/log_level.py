"""The level at which functions log for a while. Stored with the logging-manager, which they read with stopped ones."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from email_sender.adapters.postgres.audit import add_entry
from email_sender.adapters.postgres.database import Database
from email_sender.coordination.audit import AuditEntry
from email_sender.coordination.events import PLATFORM_TENANT
from email_sender.coordination.lifecycle import Status, manager_id

_MANAGER = "logging-manager"


@dataclass(frozen=True, slots=True)
class TemporaryLevel:
    """`level` is None if functions log at their usual level."""

    level: str | None
    until: datetime | None


class PostgresLogLevel:
    """For the platform role. Every method raises Unavailable if the database does not respond."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self) -> TemporaryLevel:
        with self._database.platform() as conn:
            row = conn.execute(
                "select config->>'log_level' as level, (config->>'log_level_until')::timestamptz as until "
                "from managers where name = %s and (config->>'log_level_until')::timestamptz > now()",
                [_MANAGER],
            ).fetchone()
        return TemporaryLevel(row["level"], row["until"]) if row else TemporaryLevel(None, None)

    def change(self, level: str, duration: timedelta, subject: str, now: datetime) -> TemporaryLevel:
        """Let functions log at `level`. Audited."""
        until = now + duration
        with self._database.platform() as conn:
            # A platform that has just been deployed has no row yet.
            conn.execute(
                """
                insert into managers (id, name, status, config)
                values (%s, %s, %s, jsonb_build_object('log_level', %s::text, 'log_level_until', %s::text))
                on conflict (name) do update set config = managers.config || excluded.config
                """,
                [manager_id(_MANAGER), _MANAGER, Status.INITIALIZING, level, until.isoformat()],
            )
            details = {"level": level, "until": until.isoformat()}
            add_entry(conn, PLATFORM_TENANT, AuditEntry(now, subject, "log_level.changed", _MANAGER, details))
            conn.commit()
        return TemporaryLevel(level, until)
