"""EventBridge Scheduler's clock, in the schedules' own time zones.

MiniStack 1.5.33 reads every cron expression as UTC and puts no scheduled time into a target's input. AWS does both; of
a night whose clocks change, a time that does not exist is skipped, and one that comes twice rings once
(docs.aws.amazon.com/scheduler, "Schedule types", daylight saving time).
"""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from ministack.core import responses
from ministack.services import eventbridge, scheduler

from local.aws.upstream import check_sources

_log = logging.getLogger(__name__)
_SCHEDULED_TIME = "<aws.scheduler.scheduled-time>"
_RELIES_ON = {
    "scheduler._tick_schedules": (scheduler._tick_schedules, "0ece514e9120"),
    "eventbridge._cron_next_fire": (eventbridge._cron_next_fire, "6c0efd26b612"),
}


def install() -> None:
    """Replace the clock.

    Raises:
        UpstreamChanged: MiniStack's own is not what this was written for.
    """
    check_sources(_RELIES_ON)
    scheduler._tick_schedules = tick


def next_fire(cron: str, zone: str, after: datetime) -> datetime | None:
    """The first instant after `after` at which `cron(…)` rings, in UTC."""
    fields = eventbridge._parse_cron_fields(cron)
    if fields is None:
        return None
    there = ZoneInfo(zone)
    # MiniStack counts in UTC: what is given to it is what a clock on the wall there shows.
    found: datetime | None = after.astimezone(there).replace(tzinfo=UTC)
    while (found := eventbridge._cron_next_fire(fields, found)) is not None:
        instant: datetime = found.replace(tzinfo=there).astimezone(UTC)
        # A time in the hour that the clocks skip comes back as another one.
        if instant.astimezone(there).replace(tzinfo=UTC) == found and instant > after:
            return instant
    return None


def tick() -> None:
    now = time.time()
    for key, schedule in list(scheduler._schedules._data.items()):
        if schedule.get("State") != "ENABLED" or not _is_open(schedule, now):
            continue
        due = _due(key, schedule, now)
        if due is None:
            continue
        scheduler._schedule_last_fired[key] = now
        with _scope(key):
            _ring(schedule, due)
        if schedule["ScheduleExpression"].startswith("at(") and schedule.get("ActionAfterCompletion") == "DELETE":
            scheduler._schedules._data.pop(key, None)
            scheduler._schedule_last_fired.pop(key, None)


def _is_open(schedule: Mapping[str, Any], now: float) -> bool:
    start, end = scheduler._to_epoch(schedule.get("StartDate")), scheduler._to_epoch(schedule.get("EndDate"))
    return (start is None or start <= now) and (end is None or now <= end)


def _due(key: Any, schedule: Mapping[str, Any], now: float) -> datetime | None:
    """The time for which it rings now, or None."""
    expression, fired = schedule.get("ScheduleExpression", ""), scheduler._schedule_last_fired
    at = scheduler._at_time_epoch(expression)
    if at is not None:
        return _instant(at) if at <= now and key not in fired else None
    last = fired.setdefault(key, scheduler._to_epoch(schedule.get("CreationDate")) or now)
    every = eventbridge._parse_rate_seconds(expression)
    if every is not None:
        return _instant(last + every) if now - last >= every else None
    due = next_fire(expression, schedule.get("ScheduleExpressionTimezone") or "UTC", _instant(last))
    return due if due is not None and due.timestamp() <= now else None


def _instant(epoch: float) -> datetime:
    return datetime.fromtimestamp(epoch, UTC)


@contextmanager
def _scope(key: tuple[str, str, str]) -> Iterator[None]:
    """A schedule rings in its own account and region."""
    account, region = responses.get_account_id(), responses.get_region()
    responses.set_request_account_id(key[0])
    responses.set_request_region(key[1])
    try:
        yield
    finally:
        responses.set_request_account_id(account)
        responses.set_request_region(region)


def _ring(schedule: Mapping[str, Any], due: datetime) -> None:
    target = dict(schedule.get("Target") or {})
    if "Input" in target:
        target["Input"] = target["Input"].replace(_SCHEDULED_TIME, due.strftime("%Y-%m-%dT%H:%M:%SZ"))
    event = {
        "EventId": scheduler.new_uuid(),
        "Source": "aws.scheduler",
        "DetailType": "Scheduled Event",
        "Detail": "{}",
        "Time": time.time(),
        "Resources": [schedule.get("Arn", "")],
        "Account": responses.get_account_id(),
        "Region": responses.get_region(),
    }
    try:
        eventbridge._invoke_target(target, event, schedule)
    except Exception:
        _log.exception("a schedule's target failed: %s", schedule.get("Name"))
