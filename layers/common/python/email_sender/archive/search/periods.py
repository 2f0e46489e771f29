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
    rf"(?:{_PART}(?:\s+(?:of|de|di|do))?[\s-]+|(?P<day>\d{{1,2}})(?:st|nd|rd|th|\.)?\s+(?:of\s+|de\s+)?)?"
    rf"(?:(?P<month>{_MONTH})(?:,?\s+(?:of\s+|de\s+|do\s+)?(?P<year>(?:19|20)\d\d))?|(?P<only_year>(?:19|20)\d\d))"
)
_RELATIVE = (
    r"(?P<relative>today|yesterday|(?P<within>(?:in|during|within|over)\s+)?(?:the\s+)?(?:last|(?P<past>past))\s+"
    r"(?P<count>\d{1,3}\s+)?(?P<unit>day|week|month|year)s?|this\s+(?P<this>week|month|year))"
)
# After the time comes a comma or a colon, or the question itself.
_QUESTION = (
    r"(?:who|whose|which|someone|somebody|people|wer|wessen|jemand|qui|quelqu|quien|quién|alguien|chi|qualcuno|quem|alguém|"
    r"wie|iemand)\b"
)
_LEADING = re.compile(rf"^(?:{_TIME}|{_RELATIVE})(?: ?[,:] ?| (?={_QUESTION}))", re.IGNORECASE)
_TRAILING = re.compile(rf",? (?:{_TIME}|{_RELATIVE}) ?[.?!]*$", re.IGNORECASE)
# "before last year": the end of another time.
_UNFINISHED = re.compile(r"\b(?:before|until|after|since|by)$", re.IGNORECASE)
_SINCE = frozenset(("since", "after", "from", "seit", "nach", "depuis", "après", "desde", "dal", "da", "dopo", "sinds"))
_AFTER = frozenset(("after", "nach", "après", "dopo"))
_UNTIL = frozenset(("until", "bis"))
_BEFORE = frozenset(("before", "vor", "avant", "antes de", "prima di", "voor"))
# Before a number alone, these words say that it is no year: "at 2000".
_NO_YEAR = frozenset(("", "at", "on", "am", "à", "a"))
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
    def bounds(self) -> tuple[datetime | None, datetime | None]:
        """`since` and `until` without the tolerance for time zones."""
        return self.since and self.since + _TOLERANCE, self.until and self.until - _TOLERANCE

    @property
    def days(self) -> tuple[date | None, date | None]:
        """The first and the last day."""
        since, until = self.bounds
        return since.date() if since else None, (until - timedelta(days=1)).date() if until else None


def find_period(text: str, today: date) -> tuple[Period | None, str]:
    """Return the period that a question names, and the question without it.

    White space in the text counts as one space. A month without a year is the last such month that has begun.
    """
    text = " ".join(text.split())
    for pattern, is_required in ((_LEADING, True), (_TRAILING, False)):
        match = pattern.search(text)
        if match is None:
            continue
        rest = (text[: match.start()] + text[match.end() :]).strip()
        if _UNFINISHED.search(rest):
            return None, text
        period = _relative_period(match, today) if match["relative"] else _named_period(match, today)
        return (replace(period, is_required=is_required), rest) if period and rest else (None, text)
    return None, text


def _named_period(match: re.Match[str], today: date) -> Period | None:
    when = re.sub(r"\s+", " ", (match["when"] or "").lower())
    if not match["month"]:
        # A number alone is a year only after a word that says so.
        if when in _NO_YEAR or match["part"] or match["day"]:
            return None
        first, after = date(int(match["only_year"]), 1, 1), date(int(match["only_year"]) + 1, 1, 1)
    else:
        month = _MONTH_NUMBERS[match["month"].lower()]
        if not (when or match["part"] or match["year"] or match["day"]):
            return None
        year = int(match["year"]) if match["year"] else today.year - (month > today.month)
        first = date(year, month, 1)
        after = date(year + month // 12, month % 12 + 1, 1)
        part = (match["part"] or "").lower()
        if match["day"]:
            if not 1 <= int(match["day"]) <= (after - first).days:
                return None
            first = first.replace(day=int(match["day"]))
            after = first + timedelta(days=1)
        elif part in _LATE:
            first = first.replace(day=20)
        elif part in _EARLY:
            after = first.replace(day=11)
        elif part:
            first, after = first.replace(day=10), first.replace(day=21)
    if when in _SINCE:
        return _period(after if when in _AFTER else first, None)
    if when in _UNTIL:
        return _period(None, after)
    if when in _BEFORE:
        return _period(None, first)
    return _period(first, after)


def _relative_period(match: re.Match[str], today: date) -> Period:
    tomorrow = today + timedelta(days=1)
    if match["this"]:
        unit = match["this"].lower()
        starts = {"week": today - timedelta(days=today.weekday()), "month": today.replace(day=1)}
        return _period(starts.get(unit, today.replace(month=1, day=1)), tomorrow)
    if match["unit"] and (match["within"] or match["past"] or match["count"] or match["unit"].lower() == "day"):
        days = _DAYS[match["unit"].lower()] * int(match["count"] or 1)
        return _period(today - timedelta(days=min(days, 36_500)), tomorrow)
    if match["unit"]:
        # The week, month or year before this one.
        unit = match["unit"].lower()
        after = {"week": today - timedelta(days=today.weekday()), "month": today.replace(day=1)}.get(
            unit, today.replace(month=1, day=1)
        )
        last_day = after - timedelta(days=1)
        first = {"week": after - timedelta(days=7), "month": last_day.replace(day=1)}.get(
            unit, last_day.replace(month=1, day=1)
        )
        return _period(first, after)
    is_today = match["relative"].lower() == "today"
    return _period(today, tomorrow) if is_today else _period(today - timedelta(days=1), today)


def _period(first: date | None, after: date | None) -> Period:
    """Return the period from the day `first` until the day before `after`, in any time zone."""
    return Period(
        datetime.combine(first, time(), UTC) - _TOLERANCE if first else None,
        datetime.combine(after, time(), UTC) + _TOLERANCE if after else None,
    )
