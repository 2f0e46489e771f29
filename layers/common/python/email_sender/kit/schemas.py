"""Shapes that the HTTP schemas of all areas share."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict


class RequestBody(BaseModel):
    """The body of a request, or a part of it. Unknown fields are rejected."""

    model_config = ConfigDict(extra="forbid")


class Listing[T](BaseModel):
    """A page of a list. `next_cursor` is null on the last page."""

    items: Sequence[T]
    next_cursor: str | None = None
