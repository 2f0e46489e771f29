"""One page of a list."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Page[T]:
    """`next_cursor` asks for the following page; None on the last."""

    items: Sequence[T]
    next_cursor: str | None = None
