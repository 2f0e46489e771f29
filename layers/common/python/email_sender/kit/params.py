"""Parameters that many routes share."""

from typing import Annotated
from uuid import UUID

from fastapi import Header, Query

from email_sender.errors import InvalidInput

Limit = Annotated[int, Query(ge=1, le=200, description="How many at most")]
Cursor = Annotated[str | None, Query(max_length=200, description="`next_cursor` of the page before")]
IfMatch = Annotated[str | None, Header(description="The version last seen, as in ETag")]


def id_cursor(cursor: str | None) -> UUID | None:
    if cursor is None:
        return None
    try:
        return UUID(cursor)
    except ValueError:
        raise InvalidInput.at("query:cursor", "This cursor is not one of ours.") from None


def version_of(if_match: str | None) -> int | None:
    """The version an If-Match names; None where there is none."""
    if if_match is None:
        return None
    try:
        return int(if_match.strip().removeprefix("W/").strip('"'))
    except ValueError:
        raise InvalidInput("If-Match is a version in quotes, as ETag gave it.") from None
