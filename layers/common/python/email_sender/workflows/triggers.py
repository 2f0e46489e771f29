"""Read a definition's triggers: the shapes only. Sources are pinned to registered ones when the version is stored."""

import json
import re
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from email_sender.workflows.cron import cron_problems
from email_sender.workflows.definition import EventTrigger, ScheduleTrigger, Trigger, WebhookTrigger
from email_sender.workflows.reading import Findings, join

MAX_TRIGGERS = 10
_PATTERN_BYTES = 1_900  # EventBridge's own limit is 2,048, and the tenant is added
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
    found.keys(entry, pointer, {"event", "schedule", "webhook", "inputs"}, ())
    inputs = found.mapping(entry.get("inputs", {}), join(pointer, "inputs")) or {}
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
            return _event(inner, inputs, pointer, found)
        case "schedule":
            return _schedule(inner, inputs, pointer, found)
        case _:
            found.keys(inner, pointer, (), ())
            return WebhookTrigger(inputs)


def _event(pattern: Mapping[str, Any], inputs: Mapping[str, Any], pointer: str, found: Findings) -> Trigger:
    found.keys(pattern, pointer, {"source", "detail-type", "detail"}, ())
    sources = pattern.get("source")
    if sources is None:
        found.add(pointer, "'source' is missing: a trigger listens to sources that it names")
    elif not isinstance(sources, list) or not all(isinstance(each, str) and each for each in sources):
        found.add(join(pointer, "source"), "must be a list of names: whose events they are goes by the name")
    elif len({_is_ours(each) for each in sources}) > 1:
        found.add(join(pointer, "source"), "must be of one kind: the platform's own (email_sender.…), or others")
    if len(json.dumps(pattern)) > _PATTERN_BYTES:
        found.add(pointer, f"must have at most {_PATTERN_BYTES} characters")
    _pattern(pattern, pointer, found)
    return EventTrigger(pattern, inputs)


def _is_ours(source: str) -> bool:
    return source.startswith("email_sender.")


def _pattern(value: Mapping[str, Any], pointer: str, found: Findings) -> None:
    if not value:
        found.add(pointer, "must not be empty")
    for key, inner in value.items():
        where = join(pointer, key)
        if isinstance(inner, Mapping):
            _pattern(inner, where, found)
        elif not isinstance(inner, list) or not inner:
            found.add(where, "must be a list of values, such as [LeadCreated], or an object of such lists")


def _schedule(value: Mapping[str, Any], inputs: Mapping[str, Any], pointer: str, found: Findings) -> Trigger:
    found.keys(value, pointer, {"cron", "timezone"}, ("cron",))
    cron = found.text(value["cron"], join(pointer, "cron"), 200) if "cron" in value else None
    zone = found.text(value.get("timezone", "UTC"), join(pointer, "timezone"), 64)
    for problem in cron_problems(cron) if cron else ():
        found.add(join(pointer, "cron"), problem)
    if zone and not is_zone(zone):
        found.add(join(pointer, "timezone"), f"{zone!r} is not a time zone such as Europe/Paris or UTC")
    return ScheduleTrigger(cron or "", zone or "UTC", inputs)


def is_zone(name: str) -> bool:
    """Whether EventBridge Scheduler would know it."""
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


def missing_inputs(trigger: Trigger, schema: Mapping[str, Any]) -> list[str]:
    """What the workflow's inputs require and no run of this trigger would have."""
    given = {*trigger.inputs, "event" if isinstance(trigger, EventTrigger) else "schedule"}
    required = schema.get("required", ())
    if isinstance(trigger, WebhookTrigger) or not isinstance(required, list):
        return []
    return [name for name in required if isinstance(name, str) and name not in given]
