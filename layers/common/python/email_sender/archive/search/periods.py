"""Find the time that a question names: "In October 2002, who …?" asks for mail of that month.

A time at the beginning is a condition. A time at the end may be part of the matter ("a hotel in May 2003"): it is a
wish, and the search tries it first. Months are read in English, German, French, Spanish, Italian, Portuguese and Dutch.
"""

import re
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

_MONTHS = (
    "january januar janvier enero gennaio janeiro januari",
    "february februar février febrero febbraio fevereiro februari",
    "march märz mars marzo março maart",
    "april avril abril aprile",
    "may mai mayo maggio maio mei",
    "june juni juin junio giugno junho",
    "july juli juillet julio luglio julho",
    "august août agosto augustus",
    "september septembre septiembre settembre setembro",
    "october oktober octobre octubre ottobre outubro",
    "november novembre noviembre novembro",
    "december dezember décembre diciembre dicembre dezembro",
)
_MONTH_NUMBERS = {name: number for number, names in enumerate(_MONTHS, 1) for name in names.split()}
_MONTH = "(?:" + "|".join(sorted(_MONTH_NUMBERS, key=len, reverse=True)) + ")"
_PART = (
    r"(?P<part>end|late|beginning|start|early|middle|mid|ende|anfang|mitte|fin|début|milieu|finales|principios|mediados|"
    r"fine|inizio|metà|fim|início|meados|eind|begin|half)"
)
_LATE = frozenset(("end", "late", "ende", "fin", "finales", "fine", "fim", "eind"))
_EARLY = frozenset(("beginning", "start", "early", "anfang", "début", "principios", "inizio", "início", "begin"))
_TIME = (
    r"(?P<when>in|at|on|during|since|before|until|after|from|im|am|seit|vor|nach|bis|en|au|à|depuis|avant|après|a|desde|"
    r"antes\s+de|después\s+de|nel|a|da|dal|prima\s+di|dopo|em|no|sinds|voor|na)?\s*(?:the\s+|der\s+|la\s+)?"
    rf"(?:{_PART}(?:\s+(?:of|de|di|do))?[\s-]+)?"
    rf"(?:(?P<month>{_MONTH})(?:\s+(?:of\s+|de\s+|do\s+)?(?P<year>(?:19|20)\d\d))?|(?P<only_year>(?:19|20)\d\d))"
)
_RELATIVE = (
    r"(?P<relative>today|yesterday|(?:(?:in|during|within|over)\s+)?(?:the\s+)?(?:last|past)\s+(?P<count>\d{1,3}\s+)?"
    r"(?P<unit>day|week|month|year)s?|this\s+(?P<this>week|month|year))"
)
_LEADING = re.compile(rf"^\s*(?:{_TIME}|{_RELATIVE})\s*[,:]\s*", re.IGNORECASE)
_TRAILING = re.compile(rf"\s*,?\s+(?:{_TIME}|{_RELATIVE})\s*[.?!]*\s*$", re.IGNORECASE)
_SINCE = frozenset(("since", "after", "from", "seit", "nach", "depuis", "après", "desde", "dal", "da", "dopo", "sinds"))
_AFTER = frozenset(("after", "nach", "après", "dopo"))
_UNTIL = frozenset(("before", "until", "vor", "bis", "avant", "antes de", "prima di", "voor"))
_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}
# A message's date is that of its sender's clock and time zone.
_TOLERANCE = timedelta(hours=14)


@dataclass(frozen=True, slots=True)
class Period:
    """From `since` (included) until `until` (excluded); None is open. Both are in UTC.

    `is_required` is false if the time may be part of what the question is about.
    """

    since: datetime | None
    until: datetime | None
    is_required: bool = True

    @property
    def days(self) -> tuple[date | None, date | None]:
        """The first and the last day, without the tolerance for time zones."""
        return (
            (self.since + _TOLERANCE).date() if self.since else None,
            (self.until - _TOLERANCE - timedelta(days=1)).date() if self.until else None,
        )


def find_period(text: str, today: date) -> tuple[Period | None, str]:
    """Return the period that a question names, and the question without it.

    A month without a year is the last such month that has begun by `today`.
    """
    for pattern, is_required in ((_LEADING, True), (_TRAILING, False)):
        match = pattern.search(text)
        if match is None:
            continue
        rest = (text[: match.start()] + text[match.end() :]).strip()
        period = _relative_period(match, today) if match["relative"] else _named_period(match, today)
        return (replace(period, is_required=is_required), rest) if period and rest else (None, text)
    return None, text


def _named_period(match: re.Match[str], today: date) -> Period | None:
    when = re.sub(r"\s+", " ", (match["when"] or "").lower())
    if not match["month"]:
        # A number alone, as in "at 2000", is a year only after a word that says so.
        if not when or match["part"]:
            return None
        first, after = date(int(match["only_year"]), 1, 1), date(int(match["only_year"]) + 1, 1, 1)
    else:
        month = _MONTH_NUMBERS[match["month"].lower()]
        if not (when or match["part"] or match["year"]):
            return None
        year = int(match["year"]) if match["year"] else today.year - (month > today.month)
        first = date(year, month, 1)
        after = date(year + month // 12, month % 12 + 1, 1)
        part = (match["part"] or "").lower()
        if part in _LATE:
            first = first.replace(day=20)
        elif part in _EARLY:
            after = first.replace(day=11)
        elif part:
            first, after = first.replace(day=10), first.replace(day=21)
    if when in _SINCE:
        return _period(after if when in _AFTER else first, None)
    if when in _UNTIL:
        return _period(None, first)
    return _period(first, after)


def _relative_period(match: re.Match[str], today: date) -> Period:
    tomorrow = today + timedelta(days=1)
    if match["this"]:
        unit = match["this"].lower()
        starts = {"week": today - timedelta(days=today.weekday()), "month": today.replace(day=1)}
        return _period(starts.get(unit, today.replace(month=1, day=1)), tomorrow)
    if match["unit"]:
        days = _DAYS[match["unit"].lower()] * int(match["count"] or 1)
        return _period(today - timedelta(days=min(days, 36_500)), tomorrow)
    is_today = match["relative"].lower() == "today"
    return _period(today, tomorrow) if is_today else _period(today - timedelta(days=1), today)


def _period(first: date | None, after: date | None) -> Period:
    """Return the period from the day `first` until the day before `after`, in any time zone."""
    return Period(
        datetime.combine(first, time(), UTC) - _TOLERANCE if first else None,
        datetime.combine(after, time(), UTC) + _TOLERANCE if after else None,
    )
