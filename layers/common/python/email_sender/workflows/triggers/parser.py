"""Read the structure of a definition's triggers. Sources are checked when the version is stored."""

import json
import re
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from email_sender.workflows.definition.document import DocumentReader, join_pointer
from email_sender.workflows.definition.model import EventTrigger, ScheduleTrigger, Trigger, WebhookAuth, WebhookTrigger
from email_sender.workflows.triggers.cron import cron_problems

MAX_TRIGGERS = 10
# The gateway gives up after 30 seconds.
MAX_ANSWER_SECONDS = 20
_PATTERN_BYTES = 1_900  # EventBridge allows 2,048 bytes, and the tenant filter is added
_TIME_ZONE = re.compile(r"[A-Za-z0-9_+\-]{1,32}(?:/[A-Za-z0-9_+\-]{1,32}){0,2}", re.ASCII)


def read_triggers(value: object, reader: DocumentReader) -> tuple[Trigger, ...]:
    """Read the triggers. Invalid triggers are reported to `reader` and left out."""
    entries = reader.read_list(value, "/triggers")
    if len(entries) > MAX_TRIGGERS:
        reader.report("/triggers", f"must have at most {MAX_TRIGGERS} entries, not {len(entries)}")
        return ()
    triggers = (_trigger(entry, join_pointer("/triggers", index), reader) for index, entry in enumerate(entries))
    return tuple(trigger for trigger in triggers if trigger is not None)


def _trigger(value: object, pointer: str, reader: DocumentReader) -> Trigger | None:
    entry = reader.read_mapping(value, pointer)
    if entry is None:
        return None
    reader.check_keys(entry, pointer, {"event", "schedule", "webhook", "inputs"}, ())
    inputs = reader.read_mapping(entry.get("inputs", {}), join_pointer(pointer, "inputs")) or {}
    kinds = [kind for kind in ("event", "schedule", "webhook") if kind in entry]
    if len(kinds) != 1:
        reader.report(pointer, "must have exactly one of event, schedule and webhook")
        return None
    inner = reader.read_mapping(entry[kinds[0]], join_pointer(pointer, kinds[0]))
    if inner is None:
        return None
    pointer = join_pointer(pointer, kinds[0])
    match kinds[0]:
        case "event":
            return _event(inner, inputs, pointer, reader)
        case "schedule":
            return _schedule(inner, inputs, pointer, reader)
        case _:
            reader.check_keys(inner, pointer, {"answer_within", "auth"}, ())
            return WebhookTrigger(inputs, _answer_within(inner, pointer, reader), _auth(inner, pointer, reader))


def _auth(webhook: Mapping[str, Any], pointer: str, reader: DocumentReader) -> WebhookAuth:
    try:
        return WebhookAuth(webhook.get("auth", WebhookAuth.SIGNATURE))
    except ValueError:
        reader.report(join_pointer(pointer, "auth"), "must be signature or secret")
        return WebhookAuth.SIGNATURE


def _answer_within(webhook: Mapping[str, Any], pointer: str, reader: DocumentReader) -> int:
    if "answer_within" not in webhook:
        return 0
    pointer = join_pointer(pointer, "answer_within")
    return reader.read_duration(webhook["answer_within"], pointer, 1, MAX_ANSWER_SECONDS, default=0)


def _event(pattern: Mapping[str, Any], inputs: Mapping[str, Any], pointer: str, reader: DocumentReader) -> Trigger:
    reader.check_keys(pattern, pointer, {"source", "detail-type", "detail"}, ())
    sources = pattern.get("source")
    if sources is None:
        reader.report(pointer, "'source' is missing: an event trigger must name its sources")
    elif not isinstance(sources, list) or not all(isinstance(source, str) and source for source in sources):
        reader.report(join_pointer(pointer, "source"), "must be a list of source names")
    elif len({_is_platform_source(source) for source in sources}) > 1:
        reader.report(
            join_pointer(pointer, "source"), "must have only platform sources (email_sender.…) or only other sources"
        )
    if len(json.dumps(pattern)) > _PATTERN_BYTES:
        reader.report(pointer, f"must have at most {_PATTERN_BYTES} characters")
    _check_pattern(pattern, pointer, reader)
    return EventTrigger(pattern, inputs)


def _is_platform_source(source: str) -> bool:
    return source.startswith("email_sender.")


def _check_pattern(value: Mapping[str, Any], pointer: str, reader: DocumentReader) -> None:
    if not value:
        reader.report(pointer, "must not be empty")
    for key, inner in value.items():
        inner_pointer = join_pointer(pointer, key)
        if isinstance(inner, Mapping):
            _check_pattern(inner, inner_pointer, reader)
        elif not isinstance(inner, list) or not inner:
            reader.report(inner_pointer, "must be a list of values, such as [LeadCreated], or an object of such lists")


def _schedule(value: Mapping[str, Any], inputs: Mapping[str, Any], pointer: str, reader: DocumentReader) -> Trigger:
    reader.check_keys(value, pointer, {"cron", "timezone"}, ("cron",))
    cron = reader.read_text(value["cron"], join_pointer(pointer, "cron"), 200) if "cron" in value else None
    zone = reader.read_text(value.get("timezone", "UTC"), join_pointer(pointer, "timezone"), 64)
    for problem in cron_problems(cron) if cron else ():
        reader.report(join_pointer(pointer, "cron"), problem)
    if zone and not is_time_zone(zone):
        reader.report(join_pointer(pointer, "timezone"), f"{zone!r} is not a time zone such as Europe/Paris or UTC")
    return ScheduleTrigger(cron or "", zone or "UTC", inputs)


def is_time_zone(name: str) -> bool:
    """Return whether EventBridge Scheduler knows the time zone."""
    if not _TIME_ZONE.fullmatch(name):
        return False
    zones = available_timezones()
    if not zones:  # a slim image without tzdata: EventBridge Scheduler decides
        return True
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def missing_inputs(trigger: Trigger, schema: Mapping[str, Any]) -> list[str]:
    """Return the names of inputs that the workflow requires and a run of this trigger would not have."""
    provided_inputs = {*trigger.inputs, "event" if isinstance(trigger, EventTrigger) else "schedule"}
    required = schema.get("required", ())
    if isinstance(trigger, WebhookTrigger) or not isinstance(required, list):
        return []
    return [name for name in required if isinstance(name, str) and name not in provided_inputs]
