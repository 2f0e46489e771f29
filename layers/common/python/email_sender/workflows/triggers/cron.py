"""Validate cron expressions of EventBridge Scheduler: six fields, with ? as day of month or as day of week.

Source: docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html, "Cron-based schedules".
"""

import re
from typing import Final

_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
# Name, minimum, maximum, and the names of the values from the minimum on.
_FIELDS: Final = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of week", 1, 7, _DAYS),
    ("year", 1970, 2199, ()),
)
_PART = re.compile(r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\d{1,4}))?", re.ASCII)
_DAY_OF_MONTH = re.compile(r"L|LW|\d{1,2}W", re.ASCII)
_DAY_OF_WEEK = re.compile(r"L|([1-7]|[A-Z]{3})L|([1-7]|[A-Z]{3})#[1-5]", re.ASCII)


def cron_problems(cron: str) -> list[str]:
    """Return one message for each problem of the expression."""
    fields = cron.split()
    if len(fields) != len(_FIELDS):
        names = ", ".join(name for name, *_ in _FIELDS)
        return [f"must have six fields ({names}), not {len(fields)}"]
    problems = [
        f"{text!r} is not a {name} ({minimum} to {maximum}{f', or {names[0]} to {names[-1]}' if names else ''})"
        for text, (name, minimum, maximum, names) in zip(fields, _FIELDS, strict=True)
        if not _is_field(text.upper(), name, minimum, maximum, names)
    ]
    if (fields[2] == "?") == (fields[4] == "?"):
        problems.append("exactly one of day of month and day of week must be ?")
    return problems


def _is_field(text: str, name: str, minimum: int, maximum: int, names: tuple[str, ...]) -> bool:
    if name == "day of month" and (text == "?" or _DAY_OF_MONTH.fullmatch(text)):
        return True
    if name == "day of week" and (text == "?" or _DAY_OF_WEEK.fullmatch(text)):
        return True
    return all(_is_part(part, minimum, maximum, names) for part in text.split(","))


def _is_part(part: str, minimum: int, maximum: int, names: tuple[str, ...]) -> bool:
    match = _PART.fullmatch(part)
    if match is None or (match["first"] == "*" and match["last"]) or match["step"] == "0":
        return False
    values = [_number(text, names, minimum) for text in (match["first"], match["last"]) if text and text != "*"]
    return all(value is not None and minimum <= value <= maximum for value in values)


def _number(text: str, names: tuple[str, ...], minimum: int) -> int | None:
    if text in names:
        return names.index(text) + minimum
    return int(text) if text.isdigit() and len(text) <= 4 else None
