"""Read a document key by key and collect everything that is wrong with it.

A person who wrote ten mistakes gets ten sentences, not the first one ten times.
"""

import math
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any, Final

from email_sender.errors import Problem
from email_sender.workflows.durations import parse_duration

MAX_PROBLEMS = 100
_KINDS: Final = {
    "object": "an object", "array": "a list", "string": "a text", "integer": "a whole number", "number": "a number",
    "boolean": "true or false", "null": "null",
}  # fmt: skip


def join(pointer: str, *keys: str | int) -> str:
    """Extend an RFC 6901 JSON pointer."""
    return pointer + "".join(f"/{str(key).replace('~', '~0').replace('/', '~1')}" for key in keys)


def kind_of(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "integer" if value.is_integer() else "number"
    if isinstance(value, str):
        return "string"
    return "object" if isinstance(value, Mapping) else "array"


def words(kind: str) -> str:
    return _KINDS[kind]


def did_you_mean(word: str, known: Collection[str]) -> str:
    """ "; did you mean 'needs'?" or nothing."""
    close = get_close_matches(word[:80], list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


class Findings:
    """The problems found so far."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def add(self, pointer: str, message: str) -> None:
        # A made-up document must not turn into a megabyte of answer.
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(pointer, message))

    def keys(self, value: Mapping[str, Any], pointer: str, known: Collection[str], required: Collection[str]) -> None:
        for key in value:
            if key not in known:
                hint = did_you_mean(key, known) or f"; known are {', '.join(sorted(known))}"
                self.add(join(pointer, key), f"{key!r} is not a key here{hint}")
        for key in required:
            if key not in value:
                self.add(pointer, f"{key!r} is missing")

    def mapping(self, value: object, pointer: str) -> Mapping[str, Any] | None:
        if isinstance(value, Mapping):
            return value
        self.add(pointer, f"must be an object, not {words(kind_of(value))}")
        return None

    def items(self, value: object, pointer: str) -> list[Any]:
        if isinstance(value, list | tuple):
            return list(value)
        self.add(pointer, f"must be a list, not {words(kind_of(value))}")
        return []

    def text(self, value: object, pointer: str, most: int) -> str | None:
        if not isinstance(value, str):
            self.add(pointer, f"must be a text, not {words(kind_of(value))}")
        elif not value.strip():
            self.add(pointer, "must not be empty")
        elif len(value) > most:
            self.add(pointer, f"must have at most {most} characters, not {len(value)}")
        else:
            return value
        return None

    def number(self, value: object, pointer: str, least: float, most: float, *, default: float) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self.add(pointer, f"must be a number, not {words(kind_of(value))}")
        elif not least <= value <= most:
            self.add(pointer, f"must be between {least:g} and {most:g}, not {value:g}")
        else:
            return float(value)
        return default

    def integer(self, value: object, pointer: str, least: int, most: int, *, default: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            self.add(pointer, f"must be a whole number, not {words(kind_of(value))}")
        elif not least <= value <= most:
            self.add(pointer, f"must be between {least} and {most}, not {value}")
        else:
            return value
        return default

    def duration(self, value: object, pointer: str, least: int, most: int, *, default: int) -> int:
        """Seconds of an ISO 8601 duration."""
        if not isinstance(value, str):
            self.add(pointer, f"must be a duration such as PT30S or P3D, not {words(kind_of(value))}")
            return default
        try:
            seconds = parse_duration(value)
        except ValueError as error:
            self.add(pointer, str(error))
            return default
        if not least <= seconds <= most:
            self.add(pointer, f"must be between {least} and {most} seconds, and {value} is {seconds}")
            return default
        return seconds
