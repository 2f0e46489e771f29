"""The domain's view of expressions: whether an expression is valid, and which values it reads.

The text between `{%` and `%}` is JSONata over four variables: `$inputs`, `$steps`, `$item` and `$run`. A step id with a
hyphen is quoted in JSONata: ``$steps.`first-mail`.draft_id``.
"""

from dataclasses import dataclass
from typing import Protocol

VARIABLES = frozenset({"inputs", "steps", "item", "run"})


@dataclass(frozen=True, slots=True)
class References:
    """The values that an expression reads: `roots` from VARIABLES, and `steps` with the ids of the steps it names.

    `whole_steps` is true if the expression uses `$steps` without naming a step, as in `$keys($steps)`.
    """

    roots: frozenset[str] = frozenset()
    steps: frozenset[str] = frozenset()
    whole_steps: bool = False


class BadExpression(ValueError):
    """An invalid expression. `position` counts characters from the start of the expression's source."""

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message if position is None else f"{message} (at character {position})")
        self.position = position


class ExpressionChecker(Protocol):
    def check(self, source: str) -> References:
        """Parse `source` (without its `{% %}`) and return what it reads.

        Raises:
            BadExpression: the expression cannot work in any run.
        """


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked expression. `steps` are the ids of all steps whose results it may read."""

    source: str
    roots: frozenset[str] = frozenset()
    steps: frozenset[str] = frozenset()
