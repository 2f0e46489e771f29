"""Converts the n8n nodes that do not run in the sandbox: triggers, waits, requests, models, other workflows.

n8n passes lists of items from node to node, and a node works on each item. A node therefore becomes a step for each
item of the node before it. `$json` is the current item, as in n8n.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from email_sender.workflows.n8n.actions import (
    convert_chain,
    convert_openai,
    convert_vector_store,
    convert_workflow_call,
)
from email_sender.workflows.n8n.context import (
    Conversion,
    NodeContext,
    Untranslatable,
    for_each_conversion,
)
from email_sender.workflows.n8n.export import ConversionOutcome, Node
from email_sender.workflows.n8n.item_nodes import quoted
from email_sender.workflows.n8n.triggers import (
    MAILBOXES,
    convert_mail_trigger,
    convert_manual_trigger,
    convert_other_trigger,
    convert_schedule_trigger,
    convert_webhook,
)

_SECONDS_PER_UNIT: Final[Mapping[str, int]] = {"seconds": 1, "minutes": 60, "hours": 3_600, "days": 86_400}
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def is_trigger(node: Node) -> bool:
    """Return whether a workflow starts at the node. The types of triggers of other systems end in "Trigger"."""
    return node.type in _TRIGGER_TYPES or node.type.lower().endswith("trigger")


def convert_node(context: NodeContext) -> Conversion:
    """Convert a node.

    Raises:
        Untranslatable: no step does what the node does.
    """
    convert = _CONVERTERS.get(context.node.type, convert_other_trigger if is_trigger(context.node) else _unsupported)
    conversion = convert(context)
    if conversion.outcome is ConversionOutcome.EXACT and context.notes:
        return replace(conversion, outcome=ConversionOutcome.APPROXIMATED)
    return conversion


# ---- Nodes in opened loops, and code that the sandbox does not run ------------------------------------------------


def _pass_through(context: NodeContext) -> Conversion:
    return Conversion(ConversionOutcome.EXACT, None, [context.items])


def _other_code(_context: NodeContext) -> Conversion:
    raise Untranslatable("only code in JavaScript is supported")


def _other_merge(_context: NodeContext) -> Conversion:
    raise Untranslatable("merging with SQL is not supported")


def _seen_before(_context: NodeContext) -> Conversion:
    raise Untranslatable("items of earlier executions are not remembered")


# ---- Side effects -------------------------------------------------------------------------------------------------


def _wait(context: NodeContext) -> Conversion:
    # n8n leaves out what is the default of the node's version.
    unit, amount = ("hours", 1) if context.node.version < 1.1 else ("seconds", 5)
    unit, amount = context.get("unit", unit), context.get("amount", amount)
    if (
        context.get("resume", "timeInterval") != "timeInterval"
        or type(amount) not in (int, float)
        or not math.isfinite(amount)
        or not isinstance(unit, str)
        or unit not in _SECONDS_PER_UNIT
    ):
        raise Untranslatable("only waiting for a fixed duration is supported")
    seconds = min(max(int(amount * _SECONDS_PER_UNIT[unit]), 0), 31_536_000)
    step = {"uses": "wait", "when": f"{{% $count({context.items}) > 0 %}}", "with": {"seconds": seconds}}
    return Conversion(ConversionOutcome.EXACT, step, [context.items])


def _http(context: NodeContext) -> Conversion:
    method = context.get("method") or context.get("requestMethod") or "GET"
    method = method.removeprefix("=") if isinstance(method, str) and "{{" not in method else method
    if isinstance(method, str) and "{{" not in method and method.upper() not in _METHODS:
        raise Untranslatable(f"the method {method[:20]} is not supported")
    if not context.get("url"):
        return _request_without_url(context)
    if context.get("options"):
        context.notes.append("its options are not imported")
    arguments: dict[str, Any] = {
        "url": context.value(context.get("url")),
        "method": method.upper() if isinstance(method, str) and "{{" not in method else context.value(method),
        **_lists_of_request(context),
    }
    if context.node.credentials:
        arguments["secret_headers"] = {"authorization": context.node.credentials[0]}
        context.notes.append(
            f"its credentials become the tenant's secret {context.node.credentials[0]!r}: store the header there"
        )
    context.notes.append("an item fails if its response has more than 1,200 bytes")
    return for_each_conversion(context, arguments)


def _request_without_url(context: NodeContext) -> Conversion:
    context.notes.append("it has no URL: as in n8n, it fails when it is reached")
    step = {
        "uses": "transform",
        "when": f"{{% $count({context.items}) > 0 %}}",
        "with": {"items": '{% $error("The request has no URL.") %}'},
    }
    return Conversion(ConversionOutcome.APPROXIMATED, step)


def _lists_of_request(context: NodeContext) -> dict[str, Any]:
    """Return the query, the headers and the body of a request."""
    arguments: dict[str, Any] = {}
    for flag, way, text, name, key in (
        ("sendQuery", "specifyQuery", "jsonQuery", "queryParameters", "query"),
        ("sendHeaders", "specifyHeaders", "jsonHeaders", "headerParameters", "headers"),
    ):
        if context.get(flag) is True:
            is_json = context.get(way) == "json"
            arguments[key] = _json(context, text) if is_json else _name_value_pairs(context, name)
    if context.get("sendBody") is not True:
        return arguments
    kind = str(context.get("contentType") or context.get("bodyContentType") or "json").removeprefix("=")
    if kind not in ("json", "raw", "form-urlencoded") or context.get("sendMultipartFile") is True:
        raise Untranslatable(f"a body of type {kind[:40]!r} is not supported: use JSON, a form or text")
    if kind == "json":
        return {**arguments, "body": _body(context)}
    headers = arguments.get("headers", {})
    if not isinstance(headers, dict):
        raise Untranslatable("headers as JSON beside a body of text are not supported")
    content_type = context.value(str(context.get("rawContentType") or "text/plain"))
    arguments["body"] = context.value(str(context.get("body", "")))
    if kind == "form-urlencoded":
        content_type = "application/x-www-form-urlencoded"
        if context.get("specifyBody") != "string":
            arguments["body"] = context.form(_name_value_pairs(context, "bodyParameters", evaluated=False))
    lower_case = {name.lower(): value for name, value in headers.items()}
    return {**arguments, "headers": {"content-type": content_type, **lower_case}}


def _slack(context: NodeContext) -> Conversion:
    channel, text = context.get("channelId") or context.get("channel"), context.get("text")
    channel = channel.get("value") if isinstance(channel, dict) else channel
    if context.get("resource", "message") != "message" or context.get("operation", "post") != "post" or not text:
        raise Untranslatable("of Slack, only posting a text is supported")
    context.notes.append("sent as a request with the tenant's secret 'slack', which must hold 'Bearer <token>'")
    body = {"channel": context.value(channel or ""), "text": context.value(text)}
    arguments = {"url": "https://slack.com/api/chat.postMessage", "method": "POST", "body": body}
    return for_each_conversion(context, {**arguments, "secret_headers": {"authorization": "slack"}})


def _name_value_pairs(context: NodeContext, name: str, *, evaluated: bool = True) -> dict[str, object]:
    raw = context.get(name)
    entries = _mappings_in(raw.get("parameters") if isinstance(raw, dict) else None)
    pairs = {str(entry.get("name", ""))[:200]: entry.get("value", "") for entry in entries}
    return {key: context.value(value) for key, value in pairs.items()} if evaluated else pairs


def _body(context: NodeContext) -> object:
    if context.get("specifyBody") == "json" or "jsonBody" in context.node.parameters:
        return _json(context, "jsonBody")
    return _name_value_pairs(context, "bodyParameters")


def _json(context: NodeContext, name: str) -> object:
    raw = context.get(name, "")
    if not isinstance(raw, str):
        return context.value(raw)
    if raw.startswith("="):
        return context.json_value(raw)
    try:
        return quoted(json.loads(raw))
    except ValueError:
        raise Untranslatable(f"its {name} is no JSON") from None


def _unsupported(context: NodeContext) -> Conversion:
    raise Untranslatable(_ADVICE.get(context.node.type, "no step does what this node does"))


def _mappings_in(raw: object) -> list[Mapping[str, Any]]:
    return [entry for entry in raw if isinstance(entry, dict)] if isinstance(raw, list) else []


_ADVICE: Final[Mapping[str, str]] = {
    "gmail": "mail is sent only once and after an approval: use template.render, approval and email.send",
    "emailSend": "mail is sent only once and after an approval: use template.render, approval and email.send",
    "telegram": "its token is part of the URL, which must not contain a secret",
}
_TRIGGER_TYPES: Final = frozenset({"start", "cron", "interval", "webhook", *MAILBOXES})
_CONVERTERS: Final[Mapping[str, Callable[[NodeContext], Conversion]]] = {
    "manualTrigger": convert_manual_trigger,
    "start": convert_manual_trigger,
    "executeWorkflowTrigger": convert_manual_trigger,
    "scheduleTrigger": convert_schedule_trigger,
    "cron": convert_other_trigger,
    "interval": convert_other_trigger,
    "formTrigger": convert_other_trigger,
    "chatTrigger": convert_other_trigger,
    "webhook": convert_webhook,
    **dict.fromkeys(MAILBOXES, convert_mail_trigger),
    "splitInBatches": _pass_through,
    "code": _other_code,
    "merge": _other_merge,
    "removeDuplicates": _seen_before,
    "wait": _wait,
    "httpRequest": _http,
    "slack": _slack,
    "agent": convert_chain,
    "chainLlm": convert_chain,
    "openAi": convert_openai,
    "executeWorkflow": convert_workflow_call,
    "vectorStoreQdrant": convert_vector_store,
    "vectorStorePinecone": convert_vector_store,
    "vectorStoreInMemory": convert_vector_store,
    "vectorStoreSupabase": convert_vector_store,
}
