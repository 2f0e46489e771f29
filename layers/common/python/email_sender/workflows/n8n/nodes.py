"""Converts each type of n8n node. A step's result holds the node's items under `items`.

n8n passes lists of items from node to node, and a node works on each item. A node therefore becomes one expression over
the list of the node before it. `$json` is the current item, as in n8n.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from email_sender.workflows.n8n.actions import (
    convert_chain,
    convert_openai,
    convert_vector_store,
    convert_workflow_call,
)
from email_sender.workflows.n8n.conditions import translate_conditions
from email_sender.workflows.n8n.context import (
    Conversion,
    NodeContext,
    for_each_conversion,
    item_expression,
    transform_conversion,
)
from email_sender.workflows.n8n.export import ConversionOutcome, Node
from email_sender.workflows.n8n.expressions import Untranslatable
from email_sender.workflows.n8n.triggers import (
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


# ---- Items -------------------------------------------------------------------------------------------------------


def _pass_through(context: NodeContext) -> Conversion:
    if context.node.type == "respondToWebhook":
        context.notes.append(
            "the caller gets no response from this node: read the steps' results at the webhook's result_path or with "
            "GET /runs/{id}"
        )
    return Conversion(ConversionOutcome.EXACT, None, [context.items])


def _set(context: NodeContext) -> Conversion:
    if context.get("mode") == "raw":
        raw = context.get("jsonOutput", "{}")
        if not isinstance(raw, str) or raw.startswith("="):
            raise Untranslatable("JSON that is built from expressions is not supported")
        try:
            fields, base = context.expression(json.loads(raw)), "{}"
        except ValueError:
            raise Untranslatable("its JSON is invalid") from None
    else:
        entries, keeps_other_fields = _assignments(context)
        base = "$json" if keeps_other_fields else "{}"
        fields = "{" + ", ".join(f"{json.dumps(name)}: {value}" for name, value in entries.items()) + "}"
    return transform_conversion(items=context.map_items(f"$merge([{base}, {fields}])"))


def _assignments(context: NodeContext) -> tuple[dict[str, str], bool]:
    """Return the JSONata of each assigned field, and whether the item's other fields are kept."""
    assignments: dict[str, str] = {}
    current_format = context.get("assignments")
    if isinstance(current_format, dict):
        for entry in _mappings_in(current_format.get("assignments")):
            assignments[_field_name(entry.get("name"))] = _typed_value(
                context, str(entry.get("type", "string")), entry.get("value")
            )
        return assignments, context.get("includeOtherFields") is True
    values = context.get("values")
    for kind, entries in values.items() if isinstance(values, dict) else ():
        for entry in _mappings_in(entries):
            assignments[_field_name(entry.get("name"))] = _typed_value(context, str(kind), entry.get("value"))
    if not assignments and context.get("fields") is not None:
        raise Untranslatable("the format of fields in versions 3.0 to 3.2 is not supported")
    return assignments, context.get("keepOnlySet") is not True


def _field_name(name: object) -> str:
    if not isinstance(name, str) or not name or "." in name or "[" in name:
        raise Untranslatable(f"the field {str(name)[:40]!r} is a path; only plain names are supported")
    return name


def _typed_value(context: NodeContext, kind: str, value: object) -> str:
    if isinstance(value, str) and not value.startswith("="):
        if kind == "boolean":
            return "true" if value.lower() == "true" else "false"
        if kind in ("number", "array", "object"):
            try:
                return context.expression(json.loads(value))
            except ValueError:
                raise Untranslatable(f"a value of type {kind} is not valid JSON") from None
    return context.expression(value)


def _if(context: NodeContext) -> Conversion:
    test = translate_conditions(context.get("conditions"), context.get("combineOperation"), context.expression)
    return transform_conversion(yes=context.filter_items(test), no=context.filter_items(f"$not({test})"))


def _filter(context: NodeContext) -> Conversion:
    test = translate_conditions(context.get("conditions"), context.get("combineConditions"), context.expression)
    return transform_conversion(items=context.filter_items(test))


def _switch(context: NodeContext) -> Conversion:
    rules, options = context.get("rules"), context.get("options")
    rule_entries = _mappings_in(rules.get("values")) if isinstance(rules, dict) else []
    if context.get("mode", "rules") != "rules" or not rule_entries:
        raise Untranslatable("a switch needs rules in the current format")
    options = options if isinstance(options, dict) else {}
    tests = [translate_conditions(rule.get("conditions"), None, context.expression) for rule in rule_entries]
    outputs, earlier_tests = {}, ""
    for number, test in enumerate(tests):
        ignores_earlier_tests = options.get("allMatchingOutputs") is True or not earlier_tests
        outputs[f"output{number}"] = context.filter_items(
            test if ignores_earlier_tests else f"{test} and $not({earlier_tests})"
        )
        earlier_tests = f"{earlier_tests} or {test}" if earlier_tests else test
    if options.get("fallbackOutput") == "extra":
        outputs["fallback"] = context.filter_items(f"$not({earlier_tests})")
    return transform_conversion(**outputs)


def _merge(context: NodeContext) -> Conversion:
    first_input, second_input, mode = (
        context.inputs.get(0, "[]"),
        context.inputs.get(1, "[]"),
        context.get("mode", "append"),
    )
    if mode == "append":
        joined_items = first_input
        for input_number in sorted(context.inputs)[1:] if 0 in context.inputs else ():
            joined_items = f"$append({joined_items}, {context.inputs[input_number]})"
        return transform_conversion(items=f"[$append({joined_items}, [])]")
    combine_by = context.get("combineBy") or context.get("combinationMode")
    if mode == "mergeByPosition" or combine_by in ("combineByPosition", "mergeByPosition"):
        return transform_conversion(
            items=f"[$map($zip({first_input}, {second_input}), function($pair) {{ $merge($pair) }})]"
        )
    if mode == "chooseBranch":
        context.notes.append("it passes its first input through")
        return Conversion(ConversionOutcome.APPROXIMATED, None, [first_input])
    raise Untranslatable(f"merging by {str(combine_by or mode)[:40]!r} is not supported")


def _split_out(context: NodeContext) -> Conversion:
    name = _field_name(context.get("fieldToSplitOut"))
    if context.get("include") not in (None, "noOtherFields"):
        raise Untranslatable("splitting out with other fields is not supported")
    element_expression = f'$type($one) = "object" ? $one : {{{json.dumps(name)}: $one}}'
    inner = f"$map([$json.`{name}`], function($one) {{ {element_expression} }})"
    return transform_conversion(
        items=f"[$reduce({context.items}, function($all, $json) {{ $append($all, {inner}) }}, [])]"
    )


def _aggregate(context: NodeContext) -> Conversion:
    if context.get("aggregate") == "aggregateAllItemData":
        name = context.get("destinationFieldName") or "data"
        return transform_conversion(items=f"[{{{json.dumps(_field_name(name))}: {context.items}}}]")
    fields = context.get("fieldsToAggregate")
    names = [
        _field_name(entry.get("fieldToAggregate"))
        for entry in _mappings_in(fields.get("fieldToAggregate") if isinstance(fields, dict) else None)
    ]
    if not names:
        raise Untranslatable("it has no field to aggregate")
    fields_expression = ", ".join(f"{json.dumps(name)}: [{context.items}.`{name}`]" for name in names)
    return transform_conversion(items=f"[{{{fields_expression}}}]")


def _limit(context: NodeContext) -> Conversion:
    max_items = context.get("maxItems", 1)
    if type(max_items) is not int or max_items < 1:
        raise Untranslatable("the limit must be a fixed number of at least 1")
    position_test = (
        "$count($all) - " + str(max_items) + " <= $i" if context.get("keep") == "lastItems" else f"$i < {max_items}"
    )
    return transform_conversion(
        items=f"($all := {context.items}; [$filter($all, function($one, $i) {{ {position_test} }})])"
    )


def _distinct(context: NodeContext) -> Conversion:
    if context.get("compare", "allFields") != "allFields":
        raise Untranslatable("comparing only some fields is not supported")
    return transform_conversion(items=f"[$distinct({context.items})]")


def _sort(context: NodeContext) -> Conversion:
    raw = context.get("sortFieldsUi")
    fields = _mappings_in(raw.get("sortField") if isinstance(raw, dict) else None)
    if len(fields) != 1:
        raise Untranslatable("sorting needs exactly one field")
    sign = "<" if fields[0].get("order") == "descending" else ">"
    name = _field_name(fields[0].get("fieldName"))
    context.notes.append("texts are sorted by code point, and values of different types stop the run")
    return transform_conversion(
        items=f"[$sort({context.items}, function($a, $b) {{ $a.`{name}` {sign} $b.`{name}` }})]"
    )


def _code(context: NodeContext) -> Conversion:
    source = str(context.get("jsCode") or context.get("functionCode") or "").strip().rstrip(";")
    if source in ("return items", "return $input.all()"):
        return Conversion(ConversionOutcome.EXACT, None, [context.items])
    raise Untranslatable("code is not supported: write a transform step in JSONata")


# ---- Side effects -------------------------------------------------------------------------------------------------


def _wait(context: NodeContext) -> Conversion:
    unit, amount = context.get("unit", "hours"), context.get("amount", 1)
    if (
        context.get("resume", "timeInterval") != "timeInterval"
        or type(amount) not in (int, float)
        or unit not in _SECONDS_PER_UNIT
    ):
        raise Untranslatable("only waiting for a fixed duration is supported")
    seconds = min(max(int(amount * _SECONDS_PER_UNIT[unit]), 0), 31_536_000)
    step = {"uses": "wait", "when": f"{{% $count({context.items}) > 0 %}}", "with": {"seconds": seconds}}
    return Conversion(ConversionOutcome.EXACT, step, [context.items])


def _http(context: NodeContext) -> Conversion:
    method = str(context.get("method") or context.get("requestMethod") or "GET").upper()
    if method not in _METHODS:
        raise Untranslatable(f"the method {method[:20]} is not supported")
    kind = context.get("contentType") or context.get("bodyContentType") or "json"
    if context.get("sendBody") is True and (kind not in ("json", "raw") or context.get("sendMultipartFile") is True):
        raise Untranslatable(f"a body of type {str(kind)[:40]!r} is not supported: use JSON or text")
    if "json" in (context.get("specifyQuery"), context.get("specifyHeaders")):
        raise Untranslatable("a query or headers as JSON are not supported")
    if context.get("options"):
        context.notes.append("its options are not imported")
    arguments: dict[str, Any] = {"url": item_expression(context, context.get("url", "")), "method": method}
    for flag, name, key in (
        ("sendQuery", "queryParameters", "query"),
        ("sendHeaders", "headerParameters", "headers"),
    ):
        if context.get(flag) is True:
            arguments[key] = _name_value_pairs(context, name)
    if context.get("sendBody") is True and kind == "raw":
        arguments["body"] = item_expression(context, str(context.get("body", "")))
        headers = {"content-type": str(context.get("rawContentType") or "text/plain")}
        arguments["headers"] = headers | {name.lower(): value for name, value in arguments.get("headers", {}).items()}
    elif context.get("sendBody") is True:
        arguments["body"] = _body(context)
    if context.node.credentials:
        arguments["secret_headers"] = {"authorization": context.node.credentials[0]}
        context.notes.append(
            f"its credentials become the tenant's secret {context.node.credentials[0]!r}: store the header there"
        )
    context.notes.append("an item fails if its response has more than 1,200 bytes")
    return for_each_conversion(context, arguments)


def _slack(context: NodeContext) -> Conversion:
    channel, text = context.get("channelId") or context.get("channel"), context.get("text")
    channel = channel.get("value") if isinstance(channel, dict) else channel
    if context.get("resource", "message") != "message" or context.get("operation", "post") != "post" or not text:
        raise Untranslatable("of Slack, only posting a text is supported")
    context.notes.append("sent as a request with the tenant's secret 'slack', which must hold 'Bearer <token>'")
    body = {"channel": item_expression(context, channel or ""), "text": item_expression(context, text)}
    arguments = {"url": "https://slack.com/api/chat.postMessage", "method": "POST", "body": body}
    return for_each_conversion(context, {**arguments, "secret_headers": {"authorization": "slack"}})


def _stop(context: NodeContext) -> Conversion:
    message = context.get("errorMessage")
    source = context.expression(message if isinstance(message, str) else "The workflow stopped itself.")
    step = {
        "uses": "transform",
        "when": f"{{% $count({context.items}) > 0 %}}",
        "with": {"items": f"{{% ($all := {context.items}; $json := $all[0]; $error({source})) %}}"},
    }
    return Conversion(ConversionOutcome.EXACT, step, ["[]"])


def _name_value_pairs(context: NodeContext, name: str) -> dict[str, object]:
    raw = context.get(name)
    return {
        str(entry.get("name", ""))[:200]: item_expression(context, entry.get("value", ""))
        for entry in _mappings_in(raw.get("parameters") if isinstance(raw, dict) else None)
    }


def _body(context: NodeContext) -> object:
    if context.get("specifyBody") == "json" or "jsonBody" in context.node.parameters:
        raw = context.get("jsonBody", "")
        if isinstance(raw, str) and not raw.startswith("="):
            try:
                return item_expression(context, json.loads(raw))
            except ValueError:
                raise Untranslatable("its JSON body is invalid") from None
        if isinstance(raw, str) and "{{" in raw and not raw[1:].strip().startswith("{{"):
            raise Untranslatable("a JSON body that is built from expressions is not supported")
        return item_expression(context, raw)
    return _name_value_pairs(context, "bodyParameters")


def _unsupported(context: NodeContext) -> Conversion:
    raise Untranslatable(_ADVICE.get(context.node.type, "no step does what this node does"))


def _mappings_in(raw: object) -> list[Mapping[str, Any]]:
    return [entry for entry in raw if isinstance(entry, dict)] if isinstance(raw, list) else []


_ADVICE: Final[Mapping[str, str]] = {
    "gmail": "mail is sent only once and after an approval: use template.render, approval and email.send",
    "emailSend": "mail is sent only once and after an approval: use template.render, approval and email.send",
    "telegram": "its token is part of the URL, which must not contain a secret",
}
_TRIGGER_TYPES: Final = frozenset({"start", "cron", "interval", "webhook"})
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
    "noOp": _pass_through,
    "respondToWebhook": _pass_through,
    "splitInBatches": _pass_through,
    "set": _set,
    "if": _if,
    "filter": _filter,
    "switch": _switch,
    "merge": _merge,
    "splitOut": _split_out,
    "itemLists": _split_out,
    "aggregate": _aggregate,
    "limit": _limit,
    "removeDuplicates": _distinct,
    "sort": _sort,
    "code": _code,
    "function": _code,
    "wait": _wait,
    "httpRequest": _http,
    "slack": _slack,
    "stopAndError": _stop,
    "agent": convert_chain,
    "chainLlm": convert_chain,
    "openAi": convert_openai,
    "executeWorkflow": convert_workflow_call,
    "vectorStoreQdrant": convert_vector_store,
    "vectorStorePinecone": convert_vector_store,
    "vectorStoreInMemory": convert_vector_store,
    "vectorStoreSupabase": convert_vector_store,
}
