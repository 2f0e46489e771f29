"""What each kind of node becomes. A step's result holds the items that the node gives, under `items`.

n8n hands lists of items from node to node, and a node works on each; so a node becomes one expression over the list
before it. `$json` is the item at hand, there as here.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from email_sender.workflows.n8n_actions import called, chain, message, vector_store
from email_sender.workflows.n8n_conditions import condition
from email_sender.workflows.n8n_expressions import Untranslatable
from email_sender.workflows.n8n_model import How, Node
from email_sender.workflows.n8n_place import Became, Place, computed, each_item, item
from email_sender.workflows.n8n_starts import manual, scheduled, started, webhook

_WAITS: Final[Mapping[str, int]] = {"seconds": 1, "minutes": 60, "hours": 3_600, "days": 86_400}
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def is_trigger(node: Node) -> bool:
    """Whether a workflow begins there; those of other systems end in the word."""
    return node.type in _BEGINNINGS or node.type.lower().endswith("trigger")


def become(place: Place) -> Became:
    """Raises Untranslatable where nothing here does what the node does."""
    kind = _KINDS.get(place.node.type, started if is_trigger(place.node) else _unknown)
    made = kind(place)
    if made.how is How.EXACT and place.notes:
        return replace(made, how=How.APPROXIMATED)
    return made


# ---- Items -------------------------------------------------------------------------------------------------------


def _pass(place: Place) -> Became:
    if place.node.type == "respondToWebhook":
        place.notes.append(
            "nobody waits for the answer: the webhook's result_path, or GET /runs/{id}, has the steps' results"
        )
    return Became(How.EXACT, None, [place.items])


def _set(place: Place) -> Became:
    if place.get("mode") == "raw":
        raw = place.get("jsonOutput", "{}")
        if not isinstance(raw, str) or raw.startswith("="):
            raise Untranslatable("JSON that is put together by expressions")
        try:
            fields, base = place.value(json.loads(raw)), "{}"
        except ValueError:
            raise Untranslatable("its JSON cannot be read") from None
    else:
        entries, keeps = _assignments(place)
        base = "$json" if keeps else "{}"
        fields = "{" + ", ".join(f"{json.dumps(name)}: {value}" for name, value in entries.items()) + "}"
    return computed(items=place.each(f"$merge([{base}, {fields}])"))


def _assignments(place: Place) -> tuple[dict[str, str], bool]:
    """Names with their values as JSONata, and whether other fields stay."""
    found: dict[str, str] = {}
    newer = place.get("assignments")
    if isinstance(newer, dict):
        for each in _listed(newer.get("assignments")):
            found[_name(each.get("name"))] = _typed(place, str(each.get("type", "string")), each.get("value"))
        return found, place.get("includeOtherFields") is True
    values = place.get("values")
    for kind, entries in values.items() if isinstance(values, dict) else ():
        for each in _listed(entries):
            found[_name(each.get("name"))] = _typed(place, str(kind), each.get("value"))
    if not found and place.get("fields") is not None:
        raise Untranslatable("fields as version 3.0 to 3.2 writes them")
    return found, place.get("keepOnlySet") is not True


def _name(name: object) -> str:
    if not isinstance(name, str) or not name or "." in name or "[" in name:
        raise Untranslatable(f"the field {str(name)[:40]!r}, which is a path")
    return name


def _typed(place: Place, kind: str, value: object) -> str:
    if isinstance(value, str) and not value.startswith("="):
        if kind == "boolean":
            return "true" if value.lower() == "true" else "false"
        if kind in ("number", "array", "object"):
            try:
                return place.value(json.loads(value))
            except ValueError:
                raise Untranslatable(f"the value of a {kind} cannot be read") from None
    return place.value(value)


def _if(place: Place) -> Became:
    test = condition(place.get("conditions"), place.get("combineOperation"), place.value)
    return computed(yes=place.only(test), no=place.only(f"$not({test})"))


def _filter(place: Place) -> Became:
    test = condition(place.get("conditions"), place.get("combineConditions"), place.value)
    return computed(items=place.only(test))


def _switch(place: Place) -> Became:
    rules, options = place.get("rules"), place.get("options")
    listed = _listed(rules.get("values")) if isinstance(rules, dict) else []
    if place.get("mode", "rules") != "rules" or not listed:
        raise Untranslatable("a switch without rules, or as older versions write them")
    options = options if isinstance(options, dict) else {}
    tests = [condition(each.get("conditions"), None, place.value) for each in listed]
    outputs, before = {}, ""
    for number, test in enumerate(tests):
        alone = options.get("allMatchingOutputs") is True or not before
        outputs[f"output{number}"] = place.only(test if alone else f"{test} and $not({before})")
        before = f"{before} or {test}" if before else test
    if options.get("fallbackOutput") == "extra":
        outputs["fallback"] = place.only(f"$not({before})")
    return computed(**outputs)


def _merge(place: Place) -> Became:
    one, other, mode = place.inputs.get(0, "[]"), place.inputs.get(1, "[]"), place.get("mode", "append")
    if mode == "append":
        joined = one
        for each in sorted(place.inputs)[1:] if 0 in place.inputs else ():
            joined = f"$append({joined}, {place.inputs[each]})"
        return computed(items=f"[$append({joined}, [])]")
    by = place.get("combineBy") or place.get("combinationMode")
    if mode == "mergeByPosition" or by in ("combineByPosition", "mergeByPosition"):
        return computed(items=f"[$map($zip({one}, {other}), function($pair) {{ $merge($pair) }})]")
    if mode == "chooseBranch":
        place.notes.append("the first input is handed on")
        return Became(How.APPROXIMATED, None, [one])
    raise Untranslatable(f"merging by {str(by or mode)[:40]!r}")


def _split_out(place: Place) -> Became:
    name = _name(place.get("fieldToSplitOut"))
    if place.get("include") not in (None, "noOtherFields"):
        raise Untranslatable("splitting out with other fields")
    one = f'$type($one) = "object" ? $one : {{{json.dumps(name)}: $one}}'
    inner = f"$map([$json.`{name}`], function($one) {{ {one} }})"
    return computed(items=f"[$reduce({place.items}, function($all, $json) {{ $append($all, {inner}) }}, [])]")


def _aggregate(place: Place) -> Became:
    if place.get("aggregate") == "aggregateAllItemData":
        name = place.get("destinationFieldName") or "data"
        return computed(items=f"[{{{json.dumps(_name(name))}: {place.items}}}]")
    fields = place.get("fieldsToAggregate")
    names = [
        _name(each.get("fieldToAggregate"))
        for each in _listed(fields.get("fieldToAggregate") if isinstance(fields, dict) else None)
    ]
    if not names:
        raise Untranslatable("it names no field")
    made = ", ".join(f"{json.dumps(name)}: [{place.items}.`{name}`]" for name in names)
    return computed(items=f"[{{{made}}}]")


def _limit(place: Place) -> Became:
    most = place.get("maxItems", 1)
    if type(most) is not int or most < 1:
        raise Untranslatable("a limit that is computed")
    first = "$count($all) - " + str(most) + " <= $i" if place.get("keep") == "lastItems" else f"$i < {most}"
    return computed(items=f"($all := {place.items}; [$filter($all, function($one, $i) {{ {first} }})])")


def _distinct(place: Place) -> Became:
    if place.get("compare", "allFields") != "allFields":
        raise Untranslatable("comparing by some fields")
    return computed(items=f"[$distinct({place.items})]")


def _sort(place: Place) -> Became:
    raw = place.get("sortFieldsUi")
    fields = _listed(raw.get("sortField") if isinstance(raw, dict) else None)
    if len(fields) != 1:
        raise Untranslatable("sorting by other than one field")
    sign = "<" if fields[0].get("order") == "descending" else ">"
    name = _name(fields[0].get("fieldName"))
    place.notes.append("texts are sorted by code points, and values of two types stop the run")
    return computed(items=f"[$sort({place.items}, function($a, $b) {{ $a.`{name}` {sign} $b.`{name}` }})]")


def _code(place: Place) -> Became:
    source = str(place.get("jsCode") or place.get("functionCode") or "").strip().rstrip(";")
    if source in ("return items", "return $input.all()"):
        return Became(How.EXACT, None, [place.items])
    raise Untranslatable("code: write its step as a transform in JSONata")


# ---- The world ---------------------------------------------------------------------------------------------------


def _wait(place: Place) -> Became:
    unit, amount = place.get("unit", "hours"), place.get("amount", 1)
    if place.get("resume", "timeInterval") != "timeInterval" or type(amount) not in (int, float) or unit not in _WAITS:
        raise Untranslatable("waiting for anything but a time that is written down")
    seconds = min(max(int(amount * _WAITS[unit]), 0), 31_536_000)
    step = {"uses": "wait", "when": f"{{% $count({place.items}) > 0 %}}", "with": {"seconds": seconds}}
    return Became(How.EXACT, step, [place.items])


def _http(place: Place) -> Became:
    method = str(place.get("method") or place.get("requestMethod") or "GET").upper()
    if method not in _METHODS:
        raise Untranslatable(f"the method {method[:20]}")
    kind = place.get("contentType") or place.get("bodyContentType") or "json"
    if place.get("sendBody") is True and (kind not in ("json", "raw") or place.get("sendMultipartFile") is True):
        raise Untranslatable(f"a body of the kind {str(kind)[:40]!r}: JSON or text is sent here")
    if "json" in (place.get("specifyQuery"), place.get("specifyHeaders")):
        raise Untranslatable("a query or headers as JSON")
    if place.get("options"):
        place.notes.append("its options are left out")
    arguments: dict[str, Any] = {"url": item(place, place.get("url", "")), "method": method}
    for switch, name, key in (
        ("sendQuery", "queryParameters", "query"),
        ("sendHeaders", "headerParameters", "headers"),
    ):
        if place.get(switch) is True:
            arguments[key] = _pairs(place, name)
    if place.get("sendBody") is True and kind == "raw":
        arguments["body"] = item(place, str(place.get("body", "")))
        headers = {"content-type": str(place.get("rawContentType") or "text/plain")}
        arguments["headers"] = headers | {name.lower(): value for name, value in arguments.get("headers", {}).items()}
    elif place.get("sendBody") is True:
        arguments["body"] = _body(place)
    if place.node.credentials:
        arguments["secret_headers"] = {"authorization": place.node.credentials[0]}
        place.notes.append(
            f"its credentials are the tenant's secret {place.node.credentials[0]!r}: store the header there"
        )
    place.notes.append("an answer of more than 1,200 bytes fails its item")
    return each_item(place, arguments)


def _slack(place: Place) -> Became:
    channel, text = place.get("channelId") or place.get("channel"), place.get("text")
    channel = channel.get("value") if isinstance(channel, dict) else channel
    if place.get("resource", "message") != "message" or place.get("operation", "post") != "post" or not text:
        raise Untranslatable("anything of Slack but posting a text")
    place.notes.append("as a request with the tenant's secret 'slack', which holds 'Bearer <token>'")
    body = {"channel": item(place, channel or ""), "text": item(place, text)}
    arguments = {"url": "https://slack.com/api/chat.postMessage", "method": "POST", "body": body}
    return each_item(place, {**arguments, "secret_headers": {"authorization": "slack"}})


def _stop(place: Place) -> Became:
    message = place.get("errorMessage")
    source = place.value(message if isinstance(message, str) else "The workflow stopped itself.")
    step = {
        "uses": "transform",
        "when": f"{{% $count({place.items}) > 0 %}}",
        "with": {"items": f"{{% ($all := {place.items}; $json := $all[0]; $error({source})) %}}"},
    }
    return Became(How.EXACT, step, ["[]"])


def _pairs(place: Place, name: str) -> dict[str, object]:
    raw = place.get(name)
    return {
        str(each.get("name", ""))[:200]: item(place, each.get("value", ""))
        for each in _listed(raw.get("parameters") if isinstance(raw, dict) else None)
    }


def _body(place: Place) -> object:
    if place.get("specifyBody") == "json" or "jsonBody" in place.node.parameters:
        raw = place.get("jsonBody", "")
        if isinstance(raw, str) and not raw.startswith("="):
            try:
                return item(place, json.loads(raw))
            except ValueError:
                raise Untranslatable("its JSON body cannot be read") from None
        if isinstance(raw, str) and "{{" in raw and not raw[1:].strip().startswith("{{"):
            raise Untranslatable("a JSON body that is put together by expressions")
        return item(place, raw)
    return _pairs(place, "bodyParameters")


def _unknown(place: Place) -> Became:
    raise Untranslatable(_ADVICE.get(place.node.type, "there is no such step here"))


def _listed(raw: object) -> list[Mapping[str, Any]]:
    return [each for each in raw if isinstance(each, dict)] if isinstance(raw, list) else []


_ADVICE: Final[Mapping[str, str]] = {
    "gmail": "mail is sent once and after an approval here: use template.render, approval and email.send",
    "emailSend": "mail is sent once and after an approval here: use template.render, approval and email.send",
    "telegram": "its token is part of the address, where no secret may stand",
}
_BEGINNINGS: Final = frozenset({"start", "cron", "interval", "webhook"})
_KINDS: Final[Mapping[str, Callable[[Place], Became]]] = {
    "manualTrigger": manual, "start": manual, "executeWorkflowTrigger": manual,
    "scheduleTrigger": scheduled, "cron": started, "interval": started, "formTrigger": started,
    "chatTrigger": started, "webhook": webhook,
    "noOp": _pass, "respondToWebhook": _pass, "splitInBatches": _pass,
    "set": _set, "if": _if, "filter": _filter, "switch": _switch, "merge": _merge, "splitOut": _split_out,
    "itemLists": _split_out, "aggregate": _aggregate, "limit": _limit, "removeDuplicates": _distinct, "sort": _sort,
    "code": _code, "function": _code, "wait": _wait, "httpRequest": _http, "slack": _slack, "stopAndError": _stop,
    "agent": chain, "chainLlm": chain, "openAi": message, "executeWorkflow": called,
    "vectorStoreQdrant": vector_store, "vectorStorePinecone": vector_store,
    "vectorStoreInMemory": vector_store, "vectorStoreSupabase": vector_store,
}  # fmt: skip
