"""Where a workflow of n8n begins: its triggers, and the items that they give."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from email_sender.workflows.cron import cron_problems
from email_sender.workflows.n8n_expressions import Untranslatable
from email_sender.workflows.n8n_model import How
from email_sender.workflows.n8n_place import Became, Place, computed

_DAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_BY_HAND = "start it by POST /workflows/{id}/execute: its item is the run's inputs"


def manual(_place: Place) -> Became:
    return computed(items="[$inputs]")


def started(place: Place) -> Became:
    place.notes.append(_BY_HAND)
    return computed(items="[$inputs]")


def scheduled(place: Place) -> Became:
    """Its first interval as a schedule; times that cron cannot say are started by hand."""
    rule = place.get("rule", {"interval": [{}]})
    intervals = rule.get("interval") if isinstance(rule, dict) else None
    try:
        if not isinstance(intervals, list) or not intervals or not isinstance(intervals[0], dict):
            raise Untranslatable("times that are written in another way")
        cron = _cron(intervals[0])
    except Untranslatable as reason:
        place.notes.append(f"{reason}; {_BY_HAND}")
        return computed(items="[$inputs]")
    if len(intervals) > 1:
        place.notes.append("only the first of its times is kept")
    made = computed(items='[{"timestamp": $inputs.schedule.time}]')
    return Became(How.EXACT, made.step, made.outputs, {"schedule": {"cron": cron, "timezone": place.timezone}})


def webhook(place: Place) -> Became:
    place.notes.append(
        "posts are signed (Standard Webhooks): GET /workflows/{id}/triggers has the address; there are no headers"
    )
    made = computed(items='[{"body": $inputs, "headers": {}, "params": {}, "query": {}}]')
    return Became(How.APPROXIMATED, made.step, made.outputs, {"webhook": {}})


def _cron(interval: Mapping[str, Any]) -> str:
    """Six fields, as EventBridge Scheduler reads them."""
    field = str(interval.get("field", "days"))
    made = _EVERY[field](interval) if field in _EVERY else None
    if made is None or cron_problems(made):
        raise Untranslatable(f"times by {field[:20]!r} as it has them")
    return made


def _whole(interval: Mapping[str, Any], name: str, default: int) -> int:
    value = interval.get(name, default)
    if type(value) is not int or not 0 <= value < 1_000:
        raise Untranslatable(f"{name} that is computed")
    return value


def _time(interval: Mapping[str, Any]) -> str:
    return f"{_whole(interval, 'triggerAtMinute', 0)} {_whole(interval, 'triggerAtHour', 0)}"


def _once(interval: Mapping[str, Any], name: str) -> None:
    """Every second day or third week: cron begins anew with each month."""
    if _whole(interval, name, 1) != 1:
        raise Untranslatable(f"{name} of more than one")


def _minutes(interval: Mapping[str, Any]) -> str:
    return f"0/{_whole(interval, 'minutesInterval', 5)} * * * ? *"


def _hours(interval: Mapping[str, Any]) -> str:
    return f"{_whole(interval, 'triggerAtMinute', 0)} 0/{_whole(interval, 'hoursInterval', 1)} * * ? *"


def _daily(interval: Mapping[str, Any]) -> str:
    _once(interval, "daysInterval")
    return f"{_time(interval)} * * ? *"


def _weekly(interval: Mapping[str, Any]) -> str:
    _once(interval, "weeksInterval")
    days = interval.get("triggerAtDay", [0])
    if not isinstance(days, list) or not days or not all(type(each) is int and 0 <= each <= 6 for each in days):
        raise Untranslatable("days of the week that are computed")
    return f"{_time(interval)} ? * {','.join(_DAYS[each] for each in days)} *"


def _monthly(interval: Mapping[str, Any]) -> str:
    _once(interval, "monthsInterval")
    return f"{_time(interval)} {_whole(interval, 'triggerAtDayOfMonth', 1)} * ? *"


def _written(interval: Mapping[str, Any]) -> str:
    """Unix's five fields, or six with seconds that are 0."""
    text = interval.get("expression")
    fields = text.split() if isinstance(text, str) else []
    if len(fields) == 6 and fields[0] == "0":
        fields = fields[1:]
    if len(fields) != 5:
        raise Untranslatable("a cron expression of other than five fields")
    minute, hour, day, month, weekday = fields
    # There Sunday is 0 or 7, here days have names.
    weekday = re.sub(r"(?<![/\d])[0-7](?!\d)", lambda found: _DAYS[int(found[0]) % 7], weekday)
    if weekday == "*":
        weekday = "?"
    elif day == "*":
        day = "?"
    else:
        raise Untranslatable("a cron expression with days of the month and of the week")
    return f"{minute} {hour} {day} {month} {weekday} *"


_EVERY: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "minutes": _minutes,
    "hours": _hours,
    "days": _daily,
    "weeks": _weekly,
    "months": _monthly,
    "cronExpression": _written,
}
