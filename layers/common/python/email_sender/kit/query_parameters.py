"""Parameters that many routes share."""

from collections.abc import Iterator
from typing import Annotated
from uuid import UUID

from fastapi import Header, Query, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from email_sender.errors import InvalidInput, Problem

Limit = Annotated[int, Query(ge=1, le=200, description="The maximum number of items to return")]
Cursor = Annotated[str | None, Query(max_length=200, description="`next_cursor` of the previous page")]
IfMatch = Annotated[
    str | None,
    Header(
        description="The ETag of the version that the change is based on",
        # Values that parse_if_match accepts besides are for clients that drop the quotes.
        json_schema_extra={"pattern": '^"[0-9]{1,9}"$'},
    ),
]


# Every route accepts this one, if it is the caller's own tenant (kit.auth).
_TENANT = "tenant_id"


def reject_unknown_parameters(request: Request) -> None:
    """Reject query parameters that the route does not have: a misspelt filter would return everything.

    Raises:
        InvalidInput: with a problem for each unknown parameter.
    """
    route = request.scope.get("route")
    if not request.query_params or not isinstance(route, APIRoute):
        return
    known_names = frozenset(_names_in(route.dependant))
    problems = [
        Problem(f"query:{name}", f"`{name}` is not a parameter of this route.{_hint(known_names)}")
        for name in request.query_params
        if name not in known_names and name != _TENANT
    ]
    if problems:
        raise InvalidInput(problems[0].message, problems)


def _hint(known_names: frozenset[str]) -> str:
    return f" It has: {', '.join(sorted(known_names))}." if known_names else ""


def _names_in(dependant: Dependant) -> Iterator[str]:
    yield from (parameter.alias for parameter in dependant.query_params)
    for dependency in dependant.dependencies:
        yield from _names_in(dependency)


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
