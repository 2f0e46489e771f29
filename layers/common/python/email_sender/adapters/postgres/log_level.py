"""The level at which functions log for a while. Stored with the logging-manager, which they read with stopped ones."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from email_sender.adapters.postgres.audit import add_entry
from email_sender.adapters.postgres.database import Database
from email_sender.coordination.audit import AuditEntry
from email_sender.coordination.events import PLATFORM_TENANT


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
                "from managers where name = 'logging-manager' and (config->>'log_level_until')::timestamptz > now()"
            ).fetchone()
        return TemporaryLevel(row["level"], row["until"]) if row else TemporaryLevel(None, None)

    def change(self, level: str, duration: timedelta, subject: str, now: datetime) -> TemporaryLevel:
        """Let functions log at `level`. Audited."""
        until = now + duration
        with self._database.platform() as conn:
            conn.execute(
                "update managers set config = config || jsonb_build_object('log_level', %s::text, "
                "'log_level_until', %s::text) where name = 'logging-manager'",
                [level, until.isoformat()],
            )
            details = {"level": level, "until": until.isoformat()}
            add_entry(conn, PLATFORM_TENANT, AuditEntry(now, subject, "log_level.changed", "logging-manager", details))
            conn.commit()
        return TemporaryLevel(level, until)
