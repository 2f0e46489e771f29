"""One page of a list."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Page[T]:
    """One page of items. `next_cursor` requests the next page; it is None on the last page."""

    items: Sequence[T]
    next_cursor: str | None = None
