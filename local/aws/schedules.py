"""EventBridge Scheduler with time zones.

MiniStack 1.5.33 reads every cron expression as UTC and does not put the scheduled time into a target's input. This
module does both, as AWS does. When clocks change, a local time that does not exist is skipped, and a local time that
occurs twice fires once (docs.aws.amazon.com/scheduler, "Schedule types", daylight saving time).
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
    """Replace MiniStack's scheduler.

    Raises:
        UpstreamChanged: MiniStack's scheduler differs from the version for which this module was written.
    """
    check_sources(_RELIES_ON)
    scheduler._tick_schedules = tick


def next_fire(cron: str, zone: str, after: datetime) -> datetime | None:
    """Return the first time after `after` at which `cron(…)` fires in the time zone `zone`, in UTC."""
    fields = eventbridge._parse_cron_fields(cron)
    if fields is None:
        return None
    time_zone = ZoneInfo(zone)
    # MiniStack calculates in UTC, so it gets the local time of the zone, labelled as UTC.
    local_time: datetime | None = after.astimezone(time_zone).replace(tzinfo=UTC)
    while (local_time := eventbridge._cron_next_fire(fields, local_time)) is not None:
        instant: datetime = local_time.replace(tzinfo=time_zone).astimezone(UTC)
        # A local time in the skipped hour does not survive the conversion to UTC and back.
        if instant.astimezone(time_zone).replace(tzinfo=UTC) == local_time and instant > after:
            return instant
    return None


def tick() -> None:
    """Fire every schedule that is due."""
    now = time.time()
    for key, schedule in list(scheduler._schedules._data.items()):
        if schedule.get("State") != "ENABLED" or not _is_open(schedule, now):
            continue
        due = _due(key, schedule, now)
        if due is None:
            continue
        scheduler._schedule_last_fired[key] = now
        with _account_and_region_of(key):
            _fire(schedule, due)
        if schedule["ScheduleExpression"].startswith("at(") and schedule.get("ActionAfterCompletion") == "DELETE":
            scheduler._schedules._data.pop(key, None)
            scheduler._schedule_last_fired.pop(key, None)


def _is_open(schedule: Mapping[str, Any], now: float) -> bool:
    start, end = scheduler._to_epoch(schedule.get("StartDate")), scheduler._to_epoch(schedule.get("EndDate"))
    return (start is None or start <= now) and (end is None or now <= end)


def _due(key: Any, schedule: Mapping[str, Any], now: float) -> datetime | None:
    """Return the scheduled time if the schedule is due, else None."""
    expression, last_fired = schedule.get("ScheduleExpression", ""), scheduler._schedule_last_fired
    at = scheduler._at_time_epoch(expression)
    if at is not None:
        return _instant(at) if at <= now and key not in last_fired else None
    last = last_fired.setdefault(key, scheduler._to_epoch(schedule.get("CreationDate")) or now)
    interval = eventbridge._parse_rate_seconds(expression)
    if interval is not None:
        return _instant(last + interval) if now - last >= interval else None
    due = next_fire(expression, schedule.get("ScheduleExpressionTimezone") or "UTC", _instant(last))
    return due if due is not None and due.timestamp() <= now else None


def _instant(epoch: float) -> datetime:
    return datetime.fromtimestamp(epoch, UTC)


@contextmanager
def _account_and_region_of(key: tuple[str, str, str]) -> Iterator[None]:
    """Make MiniStack use the account and the region of the schedule with this key."""
    account, region = responses.get_account_id(), responses.get_region()
    responses.set_request_account_id(key[0])
    responses.set_request_region(key[1])
    try:
        yield
    finally:
        responses.set_request_account_id(account)
        responses.set_request_region(region)


def _fire(schedule: Mapping[str, Any], due: datetime) -> None:
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
        _log.exception("the target of schedule %s failed", schedule.get("Name"))
