"""Converts the n8n nodes that do not run in the sandbox: triggers, waits, models, other workflows.

n8n passes lists of items from node to node, and a node works on each item. A node therefore becomes a step for each
item of the node before it. `$json` is the current item, as in n8n.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from email_sender.workflows.n8n import item_nodes, service_nodes
from email_sender.workflows.n8n.actions import (
    convert_gemini,
    convert_openai,
    convert_workflow_call,
)
from email_sender.workflows.n8n.approvals import convert_approval
from email_sender.workflows.n8n.context import (
    Conversion,
    NodeContext,
    Untranslatable,
)
from email_sender.workflows.n8n.export import ConversionOutcome, Node
from email_sender.workflows.n8n.language_nodes import (
    convert_information_extractor,
    convert_sentiment_analysis,
    convert_summarization,
    convert_text_classifier,
)
from email_sender.workflows.n8n.mail import convert_mail
from email_sender.workflows.n8n.service_nodes import asks_person
from email_sender.workflows.n8n.triggers import (
    MAILBOXES,
    convert_called_trigger,
    convert_error_trigger,
    convert_mail_trigger,
    convert_manual_trigger,
    convert_other_trigger,
    convert_schedule_trigger,
    convert_webhook,
)
from email_sender.workflows.n8n.vector_nodes import convert_vector_store

_MAX_SECONDS: Final = 31_536_000
_SECONDS_PER_UNIT: Final[Mapping[str, int]] = {"seconds": 1, "minutes": 60, "hours": 3_600, "days": 86_400}


def is_trigger(node: Node) -> bool:
    """Return whether a workflow starts at the node. The types of triggers of other systems end in "Trigger"."""
    return node.type in _TRIGGER_TYPES or node.type.lower().endswith("trigger")


def convert_node(context: NodeContext) -> Conversion:
    """Convert a node.

    Raises:
        Untranslatable: no step does what the node does.
    """
    others = convert_other_trigger if is_trigger(context.node) else _unsupported
    convert = convert_approval if asks_person(context.node) else _CONVERTERS.get(context.node.type, others)
    conversion = convert(context)
    if conversion.outcome is ConversionOutcome.EXACT and context.notes:
        return replace(conversion, outcome=ConversionOutcome.APPROXIMATED)
    return conversion


def with_time_to_wait(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return the definition with a year for its runs if a step may wait longer than runs take by default."""
    is_long = any(_waits_for_days(step) for step in definition["steps"])
    return {**definition, **({"settings": {"timeout": "P365D"}} if is_long else {})}


def _waits_for_days(step: Mapping[str, Any]) -> bool:
    arguments = step["with"]
    if step["uses"] == "wait":
        return not isinstance(arguments.get("seconds"), int) or arguments["seconds"] > _SECONDS_PER_UNIT["days"]
    return step["uses"] == "approval" and "timeout" in arguments


# ---- Nodes in opened loops, and code that the sandbox does not run ------------------------------------------------


def _pass_through(context: NodeContext) -> Conversion:
    return Conversion(ConversionOutcome.EXACT, None, [context.items])


def _other_code(_context: NodeContext) -> Conversion:
    raise Untranslatable("only code in JavaScript is supported")


def _other_merge(_context: NodeContext) -> Conversion:
    raise Untranslatable("merging with SQL is not supported")


# ---- Side effects -------------------------------------------------------------------------------------------------


def _wait(context: NodeContext) -> Conversion:
    # n8n leaves out what is the default of the node's version.
    unit, amount = ("hours", 1) if context.node.version < 1.1 else ("seconds", 5)
    unit, amount = context.get("unit", unit), context.get("amount", amount)
    resume = context.get("resume", "timeInterval")
    if resume == "specificTime" and isinstance(context.get("dateTime"), str):
        arguments: dict[str, Any] = {"until": _point_in_time(context)}
    elif resume == "timeInterval" and isinstance(unit, str) and unit in _SECONDS_PER_UNIT:
        arguments = {"seconds": _seconds(context, amount, _SECONDS_PER_UNIT[unit])}
    else:
        raise Untranslatable("only waiting for a duration or a point in time is supported")
    step = {"uses": "wait", "when": f"{{% $count({context.items}) > 0 %}}", "with": arguments}
    return Conversion(ConversionOutcome.EXACT, step, [context.items])


def _seconds(context: NodeContext, amount: Any, seconds: int) -> int | str:
    if type(amount) in (int, float) and math.isfinite(amount):
        return min(max(int(amount * seconds), 0), _MAX_SECONDS)
    if not isinstance(amount, str) or not amount.startswith("="):
        raise Untranslatable("the amount of a wait must be a number")
    return f"{{% $min([$max([$floor($number({context.first(amount)}) * {seconds}), 0]), {_MAX_SECONDS}]) %}}"


def _point_in_time(context: NodeContext) -> str:
    """Return when a wait ends. A time without an offset is one of the workflow's time zone, as in n8n."""
    return f"{{% {context.first(context.get('dateTime'), 'time')} %}}"


def _unsupported(context: NodeContext) -> Conversion:
    node = context.node
    reason = (service_nodes if service_nodes.is_service(node) else item_nodes).reason_against(node)
    raise Untranslatable(reason or "no step does what this node does")


_TRIGGER_TYPES: Final = frozenset({"start", "cron", "interval", "webhook", *MAILBOXES})
_CONVERTERS: Final[Mapping[str, Callable[[NodeContext], Conversion]]] = {
    "manualTrigger": convert_manual_trigger,
    "start": convert_manual_trigger,
    "executeWorkflowTrigger": convert_called_trigger,
    "scheduleTrigger": convert_schedule_trigger,
    "cron": convert_other_trigger,
    "interval": convert_other_trigger,
    "errorTrigger": convert_error_trigger,
    "formTrigger": convert_other_trigger,
    "chatTrigger": convert_other_trigger,
    "webhook": convert_webhook,
    **dict.fromkeys(MAILBOXES, convert_mail_trigger),
    "splitInBatches": _pass_through,
    "code": _other_code,
    "merge": _other_merge,
    "wait": _wait,
    "emailSend": convert_mail,
    "gmail": convert_mail,
    "openAi": convert_openai,
    "googleGemini": convert_gemini,
    "informationExtractor": convert_information_extractor,
    "textClassifier": convert_text_classifier,
    "sentimentAnalysis": convert_sentiment_analysis,
    "chainSummarization": convert_summarization,
    "executeWorkflow": convert_workflow_call,
    "vectorStoreQdrant": convert_vector_store,
    "vectorStorePinecone": convert_vector_store,
    "vectorStoreInMemory": convert_vector_store,
    "vectorStoreSupabase": convert_vector_store,
}
