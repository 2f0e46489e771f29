"""Converts the triggers of an n8n workflow, and the items that they produce."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from email_sender.workflows.model import RunCause
from email_sender.workflows.n8n.context import Conversion, NodeContext, Untranslatable, transform_conversion
from email_sender.workflows.n8n.export import ConversionOutcome
from email_sender.workflows.n8n.forms import form_of
from email_sender.workflows.n8n.sandbox_steps import own_node_step
from email_sender.workflows.n8n.texts import mappings_in
from email_sender.workflows.n8n.webhook_answers import TRIGGER, waits_for_answer
from email_sender.workflows.triggers.cron import cron_problems

_DAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
MAILBOXES: Final = ("gmailTrigger", "emailReadImap", "microsoftOutlookTrigger")
# What starts runs for a trigger. All others are started by a request.
_CAUSES: Final[Mapping[str, RunCause]] = {
    **dict.fromkeys((*MAILBOXES, "errorTrigger"), RunCause.EVENT),
    "scheduleTrigger": RunCause.SCHEDULE,
    "executeWorkflowTrigger": RunCause.CALL,
    "webhook": RunCause.WEBHOOK,
}
# Which of several triggers a run takes that none of them started.
_PREFERRED: Final = (
    "formTrigger", "chatTrigger", "manualTrigger", "start", "webhook", *MAILBOXES, "executeWorkflowTrigger",
)  # fmt: skip
NEVER: Final = "false"
_WHEN: Final[Mapping[RunCause, str]] = {
    RunCause.REQUEST: "a person or an application starts the run",
    RunCause.CALL: "another workflow calls this one",
    RunCause.EVENT: "an event starts the run",
    RunCause.SCHEDULE: "the schedule starts the run",
    RunCause.WEBHOOK: "the webhook starts the run",
}
# The items of a call by executeWorkflow with several of them. A single item is the inputs themselves.
CALLED_ITEMS: Final = "n8n_items"
_PASSED_ITEMS: Final = f"[$exists($inputs.{CALLED_ITEMS}) ? $inputs.{CALLED_ITEMS} : $inputs]"
_START_MANUALLY = "start it with POST /workflows/{id}/execute: the run's inputs become its item"


def trigger_conditions(triggers: Mapping[str, str]) -> Mapping[str, tuple[str, str]]:
    """Return for the triggers whose branch does not always run when that is, in JSONata, and a note.

    `triggers` are the types by the nodes' names. As in n8n, only the branch of the trigger that fired runs. A run that
    none of them started takes the branch of one of them.
    """
    if len(triggers) < 2:
        return {}
    causes: dict[str, list[RunCause]] = {name: [] for name in triggers}
    for cause in RunCause:
        started = [name for name, kind in triggers.items() if _CAUSES.get(kind, RunCause.REQUEST) is cause]
        if cause is not RunCause.SCHEDULE or not started:
            started = [min(started or triggers, key=lambda name: _rank(triggers[name]))]
        for name in started:
            causes[name].append(cause)
    return {name: _condition(found) for name, found in causes.items()}


def _condition(causes: Sequence[RunCause]) -> tuple[str, str]:
    if not causes:
        return NEVER, "another trigger is taken in its place; its branch does not run"
    listed = ", ".join(f'"{cause}"' for cause in causes)
    return f"$run.cause in [{listed}]", f"its branch runs when {' or '.join(_WHEN[cause] for cause in causes)}"


def _rank(kind: str) -> int:
    return _PREFERRED.index(kind) if kind in _PREFERRED else len(_PREFERRED) + (kind == "errorTrigger")


def convert_manual_trigger(_context: NodeContext) -> Conversion:
    """Convert a manual trigger: the run's inputs are the only item. Old workflows are called with it too."""
    return transform_conversion(items=_PASSED_ITEMS)


def convert_called_trigger(context: NodeContext) -> Conversion:
    """Convert executeWorkflowTrigger: the items are those that another workflow passes, with the declared fields."""
    fields = _declared_fields(context)
    if fields is None:
        return transform_conversion(items=_PASSED_ITEMS)
    step = own_node_step(_PASSED_ITEMS, "calledItems", {"fields": fields})
    return Conversion(ConversionOutcome.EXACT, step, ["$self.items.out_0"])


def _declared_fields(context: NodeContext) -> list[str] | None:
    """Return the names of the fields that a called workflow declares, or None if it takes all."""
    source = context.get("inputSource", "workflowInputs" if context.node.version >= 1.1 else "passthrough")
    if source == "workflowInputs":
        declared = context.get("workflowInputs")
        fields = mappings_in(declared.get("values") if isinstance(declared, Mapping) else None)
        return [name for field in fields if isinstance(name := field.get("name"), str)]
    if source != "jsonExample":
        return None
    try:
        example = json.loads(str(context.get("jsonExample", "")))
    except ValueError:
        example = None
    if not isinstance(example, dict):
        raise Untranslatable("its example of the fields is not a JSON object")
    return list(example)


def convert_other_trigger(context: NodeContext) -> Conversion:
    """Convert a trigger without a counterpart: the workflow must be started manually. A form asks for its inputs."""
    if (form := form_of(context.node)) is not None:
        context.notes += form.notes
        return transform_conversion(items=f"[{form.item}]")
    context.notes.append(_START_MANUALLY)
    return transform_conversion(items="[$inputs]")


def convert_mail_trigger(context: NodeContext) -> Conversion:
    """Convert a trigger of a mailbox: a run starts for each mail that this platform receives, which is the item."""
    context.notes.append(
        "it starts for mail that this platform receives, whatever its filters: let the mailbox forward its mail; the "
        "item has the subject, who wrote it, and the new text, without HTML, files and quotes"
    )
    event = (
        '[$exists($inputs.event) ? {"id": $inputs.event.data.message_id, "date": $inputs.event.time, '
        '"contact_id": $inputs.event.data.contact_id, "answers_email_id": $inputs.event.data.answers_email_id} '
        ": $inputs]"
    )
    options = {name: context.get(name) for name in ("simple", "format", "output")}
    fixed = {name: value for name, value in options.items() if isinstance(value, str | bool)}
    step = own_node_step(event, "receivedMail", {"kind": context.node.type, **fixed})
    trigger = {"event": {"source": ["email_sender.messaging"], "detail-type": ["message.received"]}}
    return Conversion(ConversionOutcome.APPROXIMATED, step, ["$self.items.out_0"], trigger)


def convert_error_trigger(context: NodeContext) -> Conversion:
    """Convert errorTrigger: a run starts when another run of the tenant fails."""
    context.notes.append(
        "it starts for every run of the tenant that fails, not only of the workflows that name this one in n8n"
    )
    transform = transform_conversion(
        items='[$exists($inputs.event) ? {"execution": {"id": $inputs.event.data.run_id, "mode": "trigger", '
        '"error": {"name": $inputs.event.data.error, "message": $inputs.event.data.message}, '
        '"lastNodeExecuted": $inputs.event.data.step}, '
        '"workflow": {"id": $inputs.event.data.workflow_id, "name": $inputs.event.data.workflow_id}} : $inputs]'
    )
    trigger = {"event": {"source": ["email_sender.workflows"], "detail-type": ["run.failed"]}}
    return Conversion(ConversionOutcome.APPROXIMATED, transform.step, transform.outputs, trigger)


def convert_schedule_trigger(context: NodeContext) -> Conversion:
    """Convert the first interval to a schedule. A schedule that cron cannot express must be started manually."""
    rule = context.get("rule", {"interval": [{}]})
    intervals = rule.get("interval") if isinstance(rule, dict) else None
    try:
        if not isinstance(intervals, list) or not intervals or not isinstance(intervals[0], dict):
            raise Untranslatable("the schedule has an unknown format")
        cron = _cron(intervals[0])
    except Untranslatable as reason:
        context.notes.append(f"{reason}; {_START_MANUALLY}")
        return transform_conversion(items="[$inputs]")
    if len(intervals) > 1:
        context.notes.append("only the first of its intervals is imported")
    transform = transform_conversion(items='[{"timestamp": $inputs.schedule.time}]')
    return Conversion(
        ConversionOutcome.EXACT,
        transform.step,
        transform.outputs,
        {"schedule": {"cron": cron, "timezone": context.timezone}},
    )


def convert_webhook(context: NodeContext) -> Conversion:
    context.notes.append(
        "callers send the webhook's secret, as a bearer token, as a password, or as ?secret= in the address that "
        "GET /workflows/{id}/triggers returns"
    )
    methods = context.get("httpMethod", "GET")
    if other := sorted({*(methods if isinstance(methods, list) else [methods])} - {"GET", "POST"}, key=str):
        context.notes.append(f"callers use POST in place of {', '.join(map(str, other))[:100]}")
    request = '"headers": $inputs.headers, "params": {}, "query": $inputs.query, "body": $inputs.body'
    by_hand = '"headers": {}, "params": {}, "query": {}, "body": $inputs'
    is_request = '$run.cause = "webhook" and $exists($inputs.headers)'
    item = f"{is_request} ? {{{request}}} : {{{by_hand}}}"
    transform = transform_conversion(items=f"[{item}]")
    if isinstance(methods, list) and len(methods) > 1:
        # Each method has its output. Only POST and GET arrive: of the others, the first has the output of POST.
        method = f'(({is_request}) ? $inputs.method : "POST")'
        arriving = ["GET" if one == "GET" else "POST" for one in methods]
        outputs = [
            "[]" if one in arriving[:place] else f'[{method} = "{one}" ? ({item})]'
            for place, one in enumerate(arriving)
        ]
        transform = transform_conversion(**{f"items_{place}": output for place, output in enumerate(outputs)})
    trigger: Mapping[str, Any] = {"webhook": {"auth": "secret"}}
    if waits_for_answer(context.node):
        trigger = TRIGGER
        context.notes.append("its caller waits 20 seconds for an answer, and gets the run's id if there is none")
        if context.get("responseMode") == "lastNode":
            context.notes.append(
                "the node without a following one that ran last answers, with at most 64 KB; if none ran, nobody does"
            )
    return Conversion(ConversionOutcome.APPROXIMATED, transform.step, transform.outputs, trigger)


def _cron(interval: Mapping[str, Any]) -> str:
    """Return the interval as the six cron fields of EventBridge Scheduler."""
    field = str(interval.get("field", "days"))
    cron = _CRON_BUILDERS[field](interval) if field in _CRON_BUILDERS else None
    if cron is None or cron_problems(cron):
        raise Untranslatable(f"this schedule by {field[:20]!r} cannot be expressed as cron")
    return cron


def _whole_number(interval: Mapping[str, Any], name: str, default: int) -> int:
    value = interval.get(name, default)
    if type(value) is not int or not 0 <= value < 1_000:
        raise Untranslatable(f"{name} must be a fixed number")
    return value


def _minute_and_hour(interval: Mapping[str, Any]) -> str:
    return f"{_whole_number(interval, 'triggerAtMinute', 0)} {_whole_number(interval, 'triggerAtHour', 0)}"


def _require_one(interval: Mapping[str, Any], name: str) -> None:
    """Raise Untranslatable unless the interval is 1: cron cannot count days or weeks across months."""
    if _whole_number(interval, name, 1) != 1:
        raise Untranslatable(f"{name} must be 1")


def _minutes(interval: Mapping[str, Any]) -> str:
    return f"0/{_whole_number(interval, 'minutesInterval', 5)} * * * ? *"


def _hours(interval: Mapping[str, Any]) -> str:
    return f"{_whole_number(interval, 'triggerAtMinute', 0)} 0/{_whole_number(interval, 'hoursInterval', 1)} * * ? *"


def _daily(interval: Mapping[str, Any]) -> str:
    _require_one(interval, "daysInterval")
    return f"{_minute_and_hour(interval)} * * ? *"


def _weekly(interval: Mapping[str, Any]) -> str:
    _require_one(interval, "weeksInterval")
    days = interval.get("triggerAtDay", [0])
    if not isinstance(days, list) or not days or not all(type(day) is int and 0 <= day <= 6 for day in days):
        raise Untranslatable("the days of the week must be fixed numbers from 0 to 6")
    return f"{_minute_and_hour(interval)} ? * {','.join(_DAYS[day] for day in days)} *"


def _monthly(interval: Mapping[str, Any]) -> str:
    _require_one(interval, "monthsInterval")
    return f"{_minute_and_hour(interval)} {_whole_number(interval, 'triggerAtDayOfMonth', 1)} * ? *"


def _unix_cron(interval: Mapping[str, Any]) -> str:
    """Convert the five cron fields of Unix, or six fields whose seconds are 0."""
    text = interval.get("expression")
    fields = text.split() if isinstance(text, str) else []
    if len(fields) == 6 and fields[0] == "0":
        fields = fields[1:]
    if len(fields) != 5:
        raise Untranslatable("a cron expression must have five fields, or six with the seconds at 0")
    minute, hour, day, month, weekday = fields
    # n8n numbers Sunday as 0 or 7; EventBridge Scheduler uses the names of days.
    weekday = re.sub(r"(?<![/\d])[0-7](?!\d)", lambda match: _DAYS[int(match[0]) % 7], weekday)
    if weekday == "*":
        weekday = "?"
    elif day == "*":
        day = "?"
    else:
        raise Untranslatable("a cron expression cannot set both days of the month and days of the week")
    return f"{minute} {hour} {day} {month} {weekday} *"


_CRON_BUILDERS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "minutes": _minutes,
    "hours": _hours,
    "days": _daily,
    "weeks": _weekly,
    "months": _monthly,
    "cronExpression": _unix_cron,
}
