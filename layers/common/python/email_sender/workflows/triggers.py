"""Read a definition's triggers: the shapes only. Sources are pinned to registered ones when the version is stored."""

import re
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from email_sender.workflows.definition import EventTrigger, ScheduleTrigger, Trigger, WebhookTrigger
from email_sender.workflows.reading import Findings, join

MAX_TRIGGERS = 10
_PATTERN_BYTES = 2_048  # EventBridge's own limit for a pattern
_CRON_FIELDS = ("minute", "hour", "day of month", "month", "day of week", "year")
_CRON_FIELD = re.compile(r"[0-9A-Za-z*?,/#L\-]{1,64}", re.ASCII)
_ZONE = re.compile(r"[A-Za-z0-9_+\-]{1,32}(?:/[A-Za-z0-9_+\-]{1,32}){0,2}", re.ASCII)


def read_triggers(value: object, found: Findings) -> tuple[Trigger, ...]:
    entries = found.items(value, "/triggers")
    if len(entries) > MAX_TRIGGERS:
        found.add("/triggers", f"must have at most {MAX_TRIGGERS} entries, not {len(entries)}")
        return ()
    triggers = (_trigger(entry, join("/triggers", index), found) for index, entry in enumerate(entries))
    return tuple(trigger for trigger in triggers if trigger is not None)


def _trigger(value: object, pointer: str, found: Findings) -> Trigger | None:
    entry = found.mapping(value, pointer)
    if entry is None:
        return None
    found.keys(entry, pointer, {"event", "schedule", "webhook"}, ())
    kinds = [kind for kind in ("event", "schedule", "webhook") if kind in entry]
    if len(kinds) != 1:
        found.add(pointer, "must have exactly one of event, schedule and webhook")
        return None
    inner = found.mapping(entry[kinds[0]], join(pointer, kinds[0]))
    if inner is None:
        return None
    pointer = join(pointer, kinds[0])
    match kinds[0]:
        case "event":
            return _event(inner, pointer, found)
        case "schedule":
            return _schedule(inner, pointer, found)
        case _:
            found.keys(inner, pointer, (), ())
            return WebhookTrigger()


def _event(pattern: Mapping[str, Any], pointer: str, found: Findings) -> Trigger:
    if "source" not in pattern:
        found.add(pointer, "'source' is missing: a trigger listens to registered sources only")
    if len(str(pattern)) > _PATTERN_BYTES:
        found.add(pointer, f"must have at most {_PATTERN_BYTES} characters")
    _pattern(pattern, pointer, found)
    return EventTrigger(pattern)


def _pattern(value: Mapping[str, Any], pointer: str, found: Findings) -> None:
    if not value:
        found.add(pointer, "must not be empty")
    for key, inner in value.items():
        where = join(pointer, key)
        if isinstance(inner, Mapping):
            _pattern(inner, where, found)
        elif not isinstance(inner, list) or not inner:
            found.add(where, "must be a list of values, such as [LeadCreated], or an object of such lists")


def _schedule(value: Mapping[str, Any], pointer: str, found: Findings) -> Trigger:
    found.keys(value, pointer, {"cron", "timezone"}, ("cron",))
    cron = found.text(value["cron"], join(pointer, "cron"), 200) if "cron" in value else None
    zone = found.text(value.get("timezone", "UTC"), join(pointer, "timezone"), 64)
    if cron:
        _cron(cron, join(pointer, "cron"), found)
    if zone and not _is_zone(zone):
        found.add(join(pointer, "timezone"), f"{zone!r} is not a time zone such as Europe/Paris or UTC")
    return ScheduleTrigger(cron or "", zone or "UTC")


def _cron(cron: str, pointer: str, found: Findings) -> None:
    fields = cron.split()
    if len(fields) != len(_CRON_FIELDS):
        found.add(pointer, f"must have six fields ({', '.join(_CRON_FIELDS)}), not {len(fields)}")
        return
    for name, part in zip(_CRON_FIELDS, fields, strict=True):
        if not _CRON_FIELD.fullmatch(part):
            found.add(pointer, f"{part!r} is not a {name}")
    if (fields[2] == "?") == (fields[4] == "?"):
        found.add(pointer, "one of day of month and day of week must be ?, and not both")


def _is_zone(name: str) -> bool:
    if not _ZONE.fullmatch(name):
        return False
    zones = available_timezones()
    if not zones:  # a slim image without tzdata: EventBridge Scheduler will judge
        return True
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True
