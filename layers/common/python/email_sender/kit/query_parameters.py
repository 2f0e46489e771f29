"""Parameters that many routes share."""

from typing import Annotated
from uuid import UUID

from fastapi import Header, Query

from email_sender.errors import InvalidInput

Limit = Annotated[int, Query(ge=1, le=200, description="The maximum number of items to return")]
Cursor = Annotated[str | None, Query(max_length=200, description="`next_cursor` of the previous page")]
IfMatch = Annotated[str | None, Header(description="The ETag of the version that the change is based on")]


def parse_id_cursor(cursor: str | None) -> UUID | None:
    """Return the id that a cursor holds.

    Raises:
        InvalidInput: the cursor is not an id.
    """
    if cursor is None:
        return None
    try:
        return UUID(cursor)
    except ValueError:
        raise InvalidInput.at("query:cursor", "Invalid cursor. Use next_cursor of the previous page.") from None


def parse_if_match(if_match: str | None) -> int | None:
    """Return the version in an If-Match header, or None without the header.

    Raises:
        InvalidInput: the header is not a version.
    """
    if if_match is None:
        return None
    try:
        return int(if_match.strip().removeprefix("W/").strip('"'))
    except ValueError:
        raise InvalidInput('The If-Match header must be the value of an ETag header, such as "3".') from None
