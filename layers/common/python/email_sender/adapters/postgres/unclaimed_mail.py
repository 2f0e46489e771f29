"""Received mail that belongs to no tenant, for the platform role."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid5

from email_sender.adapters.postgres.cursors import next_cursor, parse_cursor
from email_sender.adapters.postgres.database import Database
from email_sender.coordination.events import PLATFORM_TENANT
from email_sender.paging import Page

_MAX_RECIPIENTS = 50


@dataclass(frozen=True, slots=True)
class UnclaimedMail:
    """A mail in the bucket that belongs to no tenant, with the reason. The bucket keeps it for 30 days."""

    id: UUID
    object_key: str
    object_version: str | None
    recipients: Sequence[str]
    reason: str
    received_at: datetime


class PostgresUnclaimedMail:
    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, key: str, version: str | None, recipients: Sequence[str], reason: str, at: datetime) -> None:
        with self._database.platform() as conn:
            conn.execute(
                "insert into unclaimed_mail (id, object_key, object_version, recipients, reason, received_at) "
                "values (%s, %s, %s, %s, %s, %s) on conflict do nothing",
                [
                    uuid5(PLATFORM_TENANT, f"unclaimed/{key}"),
                    key,
                    version,
                    list(recipients)[:_MAX_RECIPIENTS],
                    reason,
                    at,
                ],
            )
            conn.commit()

    def page(self, cursor: str | None, limit: int) -> Page[UnclaimedMail]:
        """Return the latest first."""
        before, before_id = parse_cursor(cursor)
        with self._database.platform() as conn:
            rows = conn.execute(
                "select * from unclaimed_mail "
                "where %(before)s::timestamptz is null or (received_at, id) < (%(before)s, %(before_id)s) "
                "order by received_at desc, id desc limit %(limit)s",
                {"before": before, "before_id": before_id, "limit": limit + 1},
            ).fetchall()
        return Page([UnclaimedMail(**row) for row in rows[:limit]], next_cursor(rows, limit, "received_at"))
