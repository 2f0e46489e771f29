"""Cron expressions as EventBridge Scheduler reads them: six fields, one of the two days a question mark.

Source: docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html, "Cron-based schedules".
"""

import re
from typing import Final

_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
# Name, least, most, names of the numbers from the least on.
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
    """A sentence for each thing wrong with it."""
    fields = cron.split()
    if len(fields) != len(_FIELDS):
        names = ", ".join(name for name, *_ in _FIELDS)
        return [f"must have six fields ({names}), not {len(fields)}"]
    problems = [
        f"{text!r} is not a {name} ({least} to {most}{f', or {names[0]} to {names[-1]}' if names else ''})"
        for text, (name, least, most, names) in zip(fields, _FIELDS, strict=True)
        if not _is_field(text.upper(), name, least, most, names)
    ]
    if (fields[2] == "?") == (fields[4] == "?"):
        problems.append("one of day of month and day of week must be ?, and not both")
    return problems


def _is_field(text: str, name: str, least: int, most: int, names: tuple[str, ...]) -> bool:
    if name == "day of month" and (text == "?" or _DAY_OF_MONTH.fullmatch(text)):
        return True
    if name == "day of week" and (text == "?" or _DAY_OF_WEEK.fullmatch(text)):
        return True
    return all(_is_part(part, least, most, names) for part in text.split(","))


def _is_part(part: str, least: int, most: int, names: tuple[str, ...]) -> bool:
    found = _PART.fullmatch(part)
    if found is None or (found["first"] == "*" and found["last"]) or found["step"] == "0":
        return False
    values = [_number(each, names, least) for each in (found["first"], found["last"]) if each and each != "*"]
    return all(value is not None and least <= value <= most for value in values)


def _number(text: str, names: tuple[str, ...], least: int) -> int | None:
    if text in names:
        return names.index(text) + least
    return int(text) if text.isdigit() and len(text) <= 4 else None
