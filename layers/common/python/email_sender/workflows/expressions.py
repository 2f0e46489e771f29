"""What the domain needs to know of an expression: that it is sound, and what it reads.

Between `{%` and `%}` stands JSONata over four variables: `$inputs`, `$steps`, `$item` and `$run`. An id with a hyphen
is quoted in JSONata: ``$steps.`first-mail`.draft_id``.
"""

from dataclasses import dataclass
from typing import Protocol

VARIABLES = frozenset({"inputs", "steps", "item", "run"})


@dataclass(frozen=True, slots=True)
class References:
    """What an expression reads: `roots` of VARIABLES, and of `$steps` the ids it names.

    `whole_steps` is true where `$steps` is used without naming a step, as in `$keys($steps)`.
    """

    roots: frozenset[str] = frozenset()
    steps: frozenset[str] = frozenset()
    whole_steps: bool = False


class BadExpression(ValueError):
    """A sentence about what is wrong; `position` counts characters from the start of the expression's source."""

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message if position is None else f"{message} (at character {position})")
        self.position = position


class ExpressionChecker(Protocol):
    def check(self, source: str) -> References:
        """Parse `source` (without its `{% %}`); raise BadExpression where it can never work."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked expression. `steps` is every step whose result it may see."""

    source: str
    roots: frozenset[str] = frozenset()
    steps: frozenset[str] = frozenset()
