"""Cursors of lists in order of a time and an id: what follows after that row."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from email_sender.adapters.postgres.database import Row
from email_sender.errors import InvalidInput


def following(rows: Sequence[Row], limit: int, column: str) -> str | None:
    """The cursor behind the page's last row, where more than `limit` were found; `column` holds the time."""
    if len(rows) <= limit:
        return None
    last = rows[limit - 1]
    return f"{last[column].isoformat()}~{last['id']}"


def read_cursor(cursor: str | None) -> tuple[datetime | None, UUID | None]:
    """Raises InvalidInput for one that is not ours."""
    if cursor is None:
        return None, None
    moment, _, row_id = cursor.partition("~")
    try:
        # A "+" of a time zone arrives as a space where a client did not encode it.
        return datetime.fromisoformat(moment.replace(" ", "+")), UUID(row_id)
    except ValueError:
        raise InvalidInput.at("query:cursor", "This cursor is not one of ours.") from None
