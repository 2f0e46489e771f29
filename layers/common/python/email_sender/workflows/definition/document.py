"""Read a document key by key and collect every problem, so that the author sees all mistakes at once."""

import math
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any, Final

from email_sender.errors import Problem
from email_sender.workflows.definition.durations import parse_duration

MAX_PROBLEMS = 100
_KINDS: Final = {
    "object": "an object", "array": "a list", "string": "a string", "integer": "an integer", "number": "a number",
    "boolean": "true or false", "null": "null",
}  # fmt: skip


def join_pointer(pointer: str, *keys: str | int) -> str:
    """Extend an RFC 6901 JSON pointer."""
    return pointer + "".join(f"/{str(key).replace('~', '~0').replace('/', '~1')}" for key in keys)


def json_type_of(value: object) -> str:
    """Return the JSON Schema type of a value."""
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


def describe_type(kind: str) -> str:
    return _KINDS[kind]


def did_you_mean(word: str, known_words: Collection[str]) -> str:
    """Return a hint such as "; did you mean 'needs'?", or an empty string."""
    matches = get_close_matches(word[:80], list(known_words), n=1, cutoff=0.6)
    return f"; did you mean {matches[0]!r}?" if matches else ""


class DocumentReader:
    """Read values of expected types and collect the problems found on the way."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def report(self, pointer: str, message: str) -> None:
        # A hostile document must not produce a response of several megabytes.
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(pointer, message))

    def check_keys(
        self, value: Mapping[str, Any], pointer: str, known_keys: Collection[str], required: Collection[str]
    ) -> None:
        """Report unknown and missing keys of an object."""
        for key in value:
            if key not in known_keys:
                hint = did_you_mean(key, known_keys) or f"; known keys: {', '.join(sorted(known_keys))}"
                self.report(join_pointer(pointer, key), f"{key!r} is not a key here{hint}")
        for key in required:
            if key not in value:
                self.report(pointer, f"{key!r} is missing")

    def read_mapping(self, value: object, pointer: str) -> Mapping[str, Any] | None:
        if isinstance(value, Mapping):
            return value
        self.report(pointer, f"must be an object, not {describe_type(json_type_of(value))}")
        return None

    def read_list(self, value: object, pointer: str) -> list[Any]:
        if isinstance(value, list | tuple):
            return list(value)
        self.report(pointer, f"must be a list, not {describe_type(json_type_of(value))}")
        return []

    def read_text(self, value: object, pointer: str, maximum: int) -> str | None:
        if not isinstance(value, str):
            self.report(pointer, f"must be a string, not {describe_type(json_type_of(value))}")
        elif not value.strip():
            self.report(pointer, "must not be empty")
        elif len(value) > maximum:
            self.report(pointer, f"must have at most {maximum} characters, not {len(value)}")
        else:
            return value
        return None

    def read_number(self, value: object, pointer: str, minimum: float, maximum: float, *, default: float) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self.report(pointer, f"must be a number, not {describe_type(json_type_of(value))}")
        elif not minimum <= value <= maximum:
            self.report(pointer, f"must be between {minimum:g} and {maximum:g}, not {value:g}")
        else:
            return float(value)
        return default

    def read_integer(self, value: object, pointer: str, minimum: int, maximum: int, *, default: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            self.report(pointer, f"must be an integer, not {describe_type(json_type_of(value))}")
        elif not minimum <= value <= maximum:
            self.report(pointer, f"must be between {minimum} and {maximum}, not {value}")
        else:
            return value
        return default

    def read_duration(self, value: object, pointer: str, minimum: int, maximum: int, *, default: int) -> int:
        """Return the seconds of an ISO 8601 duration."""
        if not isinstance(value, str):
            self.report(pointer, f"must be a duration such as PT30S or P3D, not {describe_type(json_type_of(value))}")
            return default
        try:
            seconds = parse_duration(value)
        except ValueError as error:
            self.report(pointer, str(error))
            return default
        if not minimum <= seconds <= maximum:
            self.report(pointer, f"must be between {minimum} and {maximum} seconds; {value} is {seconds} seconds")
            return default
        return seconds
