"""Cursors of lists that are sorted by a time and an id: each holds both values of the last row of a page."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from email_sender.adapters.postgres.database import Row
from email_sender.errors import InvalidInput


def next_cursor(rows: Sequence[Row], limit: int, column: str) -> str | None:
    """Return the cursor of the next page, or None if there are no more than `limit` rows.

    `column` is the column of the time. Select one row more than `limit`.
    """
    if len(rows) <= limit:
        return None
    last = rows[limit - 1]
    return f"{last[column].isoformat()}~{last['id']}"


def parse_cursor(cursor: str | None) -> tuple[datetime | None, UUID | None]:
    """Return the time and the id in a cursor.

    Raises:
        InvalidInput: the cursor is invalid.
    """
    if cursor is None:
        return None, None
    moment, _, row_id = cursor.partition("~")
    try:
        # If a client does not encode the cursor, the "+" of the time zone arrives as a space.
        return datetime.fromisoformat(moment.replace(" ", "+")), UUID(row_id)
    except ValueError:
        raise InvalidInput.at("query:cursor", "Invalid cursor. Use next_cursor of the previous page.") from None
