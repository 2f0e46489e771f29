"""Workflows of n8n: what their nodes become, run by the reference interpreter, and exports that are odd."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from email_sender.adapters.jsonata_expressions import JsonataExpressions
from email_sender.errors import InvalidInput
from email_sender.workflows.n8n import Imported, import_n8n
from email_sender.workflows.n8n_expressions import Untranslatable, translate
from email_sender.workflows.n8n_nodes import _KINDS
from tests.fakes.machine import TaskError
from tests.fakes.workflow_reference import Told, tell
from tests.unit.workflow_samples import compiled, parse

EXPRESSIONS = JsonataExpressions()
PEOPLE = [{"name": "Ada", "age": 36, "tags": ["x", "y"]}, {"name": "Bob", "age": 7, "tags": []}]


def node(name: str, kind: str, parameters: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": f"n8n-nodes-base.{kind}", "parameters": parameters or {}, **more}


def export(*nodes: dict[str, Any], **links: Any) -> dict[str, Any]:
    """A trigger, then a node that makes PEOPLE's items, then the given ones in a row; `links` say otherwise."""
    start = node("Start", "manualTrigger")
    people = node("People", "splitOut", {"fieldToSplitOut": "people"})
    row = [start, people, *nodes]
    connections: dict[str, Any] = {
        one["name"]: {"main": [[{"node": other["name"], "type": "main", "index": 0}]]} for one, other in pairwise(row)
    }
    connections |= links.get("connections", {})
    return {"name": "sample", "nodes": row, "connections": connections}


def to(*outputs: str | list[str]) -> dict[str, Any]:
    """Connections of a node: for each output the node, or nodes, that it leads to ("name/1" is its second input)."""
    listed = [[each] if isinstance(each, str) else each for each in outputs]
    return {
        "main": [
            [{"node": each.partition("/")[0], "index": int(each.partition("/")[2] or 0)} for each in targets if each]
            for targets in listed
        ]
    }


def imported(raw: dict[str, Any]) -> Imported:
    found = import_n8n(raw, EXPRESSIONS)
    parse(found.definition)  # it can be stored
    return found


def run(raw: dict[str, Any], handler: Any = None) -> Told:
    definition = parse(imported(raw).definition)
    return tell(definition, {"people": PEOPLE}, handler or (lambda call: call["with"]), TaskError)


def items(raw: dict[str, Any], step: str, output: str = "items") -> Any:
    told = run(raw)
    assert told.status == "SUCCEEDED", told
    return told.results[step][output]


def how(raw: dict[str, Any]) -> dict[str, str]:
    return {each.node: str(each.how) for each in imported(raw).report}


def test_set_adds_fields_to_each_item_or_keeps_only_them() -> None:
    assignments = {
        "assignments": [
            {"name": "greeting", "value": "=Dear {{ $json.name }},", "type": "string"},
            {"name": "next", "value": "={{ 1 + 2 }}", "type": "number"},
            {"name": "vip", "value": "true", "type": "boolean"},
            {"name": "list", "value": "[1, 2]", "type": "array"},
        ]
    }
    raw = export(node("Edit", "set", {"assignments": assignments}))
    assert items(raw, "edit")[0] == {"greeting": "Dear Ada,", "next": 3, "vip": True, "list": [1, 2]}
    raw = export(node("Edit", "set", {"assignments": assignments, "includeOtherFields": True}))
    assert items(raw, "edit")[1]["age"] == 7
    older = export(node("Edit", "set", {"values": {"string": [{"name": "a", "value": "b"}]}, "keepOnlySet": True}))
    assert items(older, "edit") == [{"a": "b"}, {"a": "b"}]
    assert how(older) == {"Start": "exact", "People": "exact", "Edit": "exact"}


def test_if_sends_each_item_one_way() -> None:
    newer = {
        "conditions": {
            "combinator": "and",
            "conditions": [
                {"leftValue": "={{ $json.age }}", "rightValue": 18, "operator": {"type": "number", "operation": "gte"}},
                {"leftValue": "={{ $json.name }}", "rightValue": "A",
                 "operator": {"type": "string", "operation": "startsWith"}},
            ],
        }
    }  # fmt: skip
    older = {"conditions": {"number": [{"value1": "={{$json.age}}", "operation": "larger", "value2": "18"}]}}
    for parameters in (newer, older):
        raw = export(
            node("Grown up", "if", parameters), node("Yes", "limit", {"maxItems": 9}),
            node("No", "limit", {"maxItems": 9}),
            connections={"Grown up": to("Yes", "No"), "Yes": to()},
        )  # fmt: skip
        told = run(raw)
        assert [each["name"] for each in told.results["yes"]["items"]] == ["Ada"]
        assert [each["name"] for each in told.results["no"]["items"]] == ["Bob"]


def test_switch_takes_the_first_rule_that_holds_and_the_fallback() -> None:
    def rule(operation: str, value: int) -> dict[str, Any]:
        test = {"leftValue": "={{ $json.age }}", "rightValue": value}
        return {"conditions": {"conditions": [{**test, "operator": {"type": "number", "operation": operation}}]}}

    parameters = {"rules": {"values": [rule("gt", 30), rule("gt", 35)]}, "options": {"fallbackOutput": "extra"}}
    told = run(export(node("Ways", "switch", parameters)))
    names = {key: [each["name"] for each in value] for key, value in told.results["ways"].items()}
    assert names == {"output0": ["Ada"], "output1": [], "fallback": ["Bob"]}


@pytest.mark.parametrize(
    ("kind", "parameters", "expected"),
    [
        ("filter", {"conditions": {"conditions": [{"leftValue": "={{ $json.tags }}", "operator": {
            "type": "array", "operation": "notEmpty"}}]}}, [PEOPLE[0]]),
        ("limit", {"maxItems": 1}, [PEOPLE[0]]),
        ("limit", {"maxItems": 1, "keep": "lastItems"}, [PEOPLE[1]]),
        ("splitOut", {"fieldToSplitOut": "tags"}, [{"tags": "x"}, {"tags": "y"}]),
        ("aggregate", {"aggregate": "aggregateAllItemData"}, [{"data": PEOPLE}]),
        ("aggregate", {"fieldsToAggregate": {"fieldToAggregate": [{"fieldToAggregate": "name"}]}},
         [{"name": ["Ada", "Bob"]}]),
        ("removeDuplicates", {}, PEOPLE),
        ("sort", {"sortFieldsUi": {"sortField": [{"fieldName": "age"}]}}, PEOPLE[::-1]),
    ],
)  # fmt: skip
def test_lists_are_made_as_n8n_makes_them(kind: str, parameters: dict[str, Any], expected: Any) -> None:
    assert items(export(node("It", kind, parameters)), "it") == expected


def test_merge_appends_or_joins_by_position() -> None:
    for parameters, expected in (
        ({}, [{"a": "b"}, {"a": "b"}, *PEOPLE]),
        ({"mode": "combine", "combineBy": "combineByPosition"}, [{"a": "b"} | each for each in PEOPLE]),
    ):
        edit = node("Edit", "set", {"values": {"string": [{"name": "a", "value": "b"}]}, "keepOnlySet": True})
        raw = export(edit, node("Both", "merge", parameters), connections={"People": to(["Edit", "Both/1"])})
        assert items(raw, "both") == expected


def test_requests_are_made_for_each_item_with_its_values() -> None:
    parameters = {
        "method": "POST", "url": "=https://crm.example.com/{{ $json.name }}", "sendQuery": True,
        "queryParameters": {"parameters": [{"name": "age", "value": "={{ $json.age }}"}]},
        "sendBody": True, "specifyBody": "json", "jsonBody": '{"fixed": [1, "{% not ours %}"]}',
    }  # fmt: skip
    ask = node(
        "Ask", "httpRequest", parameters, credentials={"httpHeaderAuth": {"id": "1"}}, retryOnFail=True, maxTries=4
    )
    calls: list[Any] = []

    def answer(call: dict[str, Any]) -> Any:
        calls.append(call["with"])
        return {"status": 200, "headers": {}, "body": [{"id": 1}, {"id": 2}]}

    raw = export(ask, node("All", "limit", {"maxItems": 9}))
    told = run(raw, answer)
    assert [each["url"] for each in calls] == ["https://crm.example.com/Ada", "https://crm.example.com/Bob"]
    assert calls[0]["query"] == {"age": 36}
    assert calls[0]["body"] == {"fixed": [1, "{% not ours %}"]}
    assert calls[0]["secret_headers"] == {"authorization": "httpheaderauth"}
    assert told.results["all"]["items"] == [{"id": 1}, {"id": 2}] * 2
    step = next(each for each in imported(raw).definition["steps"] if each["id"] == "ask")
    assert step["retry"] == {"max_attempts": 4}


def test_what_has_no_counterpart_fails_by_name_and_only_where_it_is_reached() -> None:
    never = {"conditions": {"number": [{"value1": "={{$json.age}}", "operation": "larger", "value2": 99}]}}
    raw = export(node("Old", "if", never), node("Send mail", "gmail"), node("After", "noOp"))
    assert run(raw).status == "SUCCEEDED"
    raw = export(node("Send mail", "gmail"), node("After", "limit"))
    told = run(raw)
    assert (told.status, told.failed) == ("FAILED", {"send-mail"})
    entry = next(each for each in imported(raw).report if each.node == "Send mail")
    assert str(entry.how) == "unsupported"
    assert "email.send" in entry.notes[0]
    compiled(imported(raw).definition)


def test_a_loop_ends_in_what_its_body_gives() -> None:
    body = node("Body", "set", {"values": {"string": [{"name": "done", "value": "yes"}]}})
    raw = export(
        node("Loop", "splitInBatches", typeVersion=3), body, node("After", "limit", {"maxItems": 99}),
        connections={"Loop": to("After", "Body"), "Body": to("Loop")},
    )  # fmt: skip
    assert [each["done"] for each in items(raw, "after")] == ["yes", "yes"]
    assert how(raw)["Loop"] == "approximated"


def test_notes_parts_orphans_and_disabled_nodes_are_told() -> None:
    raw = export(node("Off", "gmail", disabled=True), node("After", "limit", {"maxItems": 9}))
    raw["nodes"] += [node("Note", "stickyNote"), node("Model", "lmChatOpenAi"), node("Alone", "set")]
    raw["connections"]["Model"] = {"ai_languageModel": [[{"node": "After"}]]}
    assert items(raw, "after") == PEOPLE
    assert how(raw) == {
        "Start": "exact", "People": "exact", "Off": "exact", "After": "exact", "Note": "dropped", "Model": "dropped",
        "Alone": "dropped",
    }  # fmt: skip


def test_an_export_of_triggers_alone_is_a_workflow() -> None:
    raw = {"nodes": [node("Hook", "webhook")], "connections": {}}
    assert run(raw).results["hook"]["items"][0]["body"] == {"people": PEOPLE}
    assert imported({"nodes": [node("Note", "stickyNote")]}).definition["steps"][0]["id"] == "nothing"


def test_triggers_of_other_systems_begin_a_workflow_too() -> None:
    raw = {"nodes": [node("New mail", "gmailTrigger"), node("All", "limit", {"maxItems": 9})]}
    raw["connections"] = {"New mail": to("All")}  # type: ignore[assignment]  # a list before
    assert how(raw) == {"New mail": "approximated", "All": "exact"}
    assert items(raw, "all") == [{"people": PEOPLE}]


@pytest.mark.parametrize(
    "more",
    [{"contentType": "multipart-form-data"}, {"contentType": "form-urlencoded"}, {"sendMultipartFile": True},
     {"specifyQuery": "json"}, {"method": "TRACE"}],
)  # fmt: skip
def test_a_request_that_would_be_another_is_not_made(more: dict[str, Any]) -> None:
    assert how(export(node("Ask", "httpRequest", {"url": "u", "sendBody": True, **more})))["Ask"] == "unsupported"


def test_names_become_ids_that_are_told_apart() -> None:
    raw = export(node("1. Größe!", "limit"), node("1  gr e", "limit"), node("日本", "limit"))
    steps = [each["id"] for each in imported(raw).definition["steps"]]
    assert len(set(steps)) == 5
    assert steps[2:] == ["node-1-gr-e", "node-1-gr-e-2", "node"]


# ---- Expressions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("plain", "plain"), ("={{ $json.name }}", "Ada"), ("=a {{ $json.age }} b", "a 36 b"), ("=", ""),
        ("={{ $json['name'] }}", "Ada"), ('={{ $json["tags"][1] }}', "y"), ("={{ $json.name.toUpperCase() }}", "ADA"),
        ("={{ $json.age > 18 ? 'old' : \"young\" }}", "old"), ("={{ 'a' + $json.age }}", "a36"),
        ("={{ !($json.age === 36) }}", False), ("={{ $json.age >= 1 && $json.name !== 'x' }}", True),
        ("={{ (1 + 2) * 3 - 4 / 2 }}", 7), ("={{ -1 }}", -1), ("={{ 'it\\'s \"so\"' }}", "it's \"so\""),
        ("={{ null }}", None), ("={{ $input.item.json.name }}", "Ada"), ("={{ $('People').first().json.name }}", "Ada"),
        ("={{ $node['People'].json.age }}", 36), ("={{ $('People').last().json.name }}", "Bob"),
        ("={{ 'abc'.includes('b') }}", True), ("={{ $json?.name }}", "Ada"), ("={{ `x` }}", "x"),
    ],
)  # fmt: skip
def test_expressions_mean_the_same(source: str, value: object) -> None:
    assignment = {"assignments": {"assignments": [{"name": "v", "value": source, "type": "string"}]}}
    assert items(export(node("Edit", "set", assignment)), "edit")[0].get("v") == value


@pytest.mark.parametrize(
    "source",
    [
        "={{ }}", "={{ $json.a + $json.b }}", "={{ $json.a || 'x' }}", "={{ $json.list.length }}", "={{ a => a }}",
        "={{ $json[$json.key] }}", "={{ $json.name.split(',') }}", "={{ new Date() }}",
        "={{ $('Nobody').item.json.x }}",
        "={{ $env.SECRET }}", "={{ $json.a = 1 }}", "={{ [1, 2] }}", "={{ {a: 1} }}", "={{ `${x}` }}", "={{ 'open }}",
        "={{ ((((1) }}", "={{ $jmespath(1) }}", "={{ 1 ? 2 : 3 }}", "={{ $json.`x` }}", "={{ /re/.test('a') }}",
        "={{ " + "(" * 2_000 + " }}",
    ],
)  # fmt: skip
def test_what_is_not_exact_is_not_translated(source: str) -> None:
    with pytest.raises(Untranslatable):
        translate(source, lambda _: None)


# ---- Odd exports ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        {}, {"nodes": []}, {"nodes": {}}, {"nodes": [3]}, {"nodes": [{"name": "a"}]},
        {"nodes": [{"name": 1, "type": "x"}]}, {"nodes": [{"name": "", "type": "x"}]},
        {"nodes": [node("a", "set"), node("a", "set")]},
        {"nodes": [node(f"n{number}", "set") for number in range(401)]},
    ],
)  # fmt: skip
def test_what_is_no_export_is_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        import_n8n(raw, EXPRESSIONS)


def test_a_long_chain_of_merges_stays_within_limits() -> None:
    nodes = [node(f"n{number}", "noOp") for number in range(150)]
    raw = export(*nodes)
    for number in range(0, 140):
        raw["connections"][f"n{number}"] = to([f"n{number + 1}", f"n{number + 2}"])
    imported(raw)


_KEYS = st.sampled_from(
    [
        "conditions", "rules", "values", "assignments", "url", "method", "mode", "combineBy", "fieldToSplitOut",
        "maxItems", "amount", "unit", "jsCode", "sendBody", "jsonBody", "bodyParameters", "sendQuery",
        "queryParameters", "options",
        "channelId", "text", "prompt", "topK", "jsonOutput", "sortFieldsUi", "aggregate", "fieldsToAggregate", "string",
        "leftValue", "rightValue", "operator", "operation", "name", "value", "type", "parameters",
    ]
)  # fmt: skip
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        [
            "={{ $json.a }}",
            "={{ $('n0').item.json.b }}",
            "={{",
            "=}}{{",
            "{% $steps %}",
            "equals",
            "append",
            "raw",
            "rules",
        ]
    )
)
_ANY = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS | st.text(max_size=5), inner, max_size=4)
)
_TYPES = st.sampled_from([*sorted(_KINDS), "gmail", "agent", "stickyNote", "nothing", ""])


@st.composite
def odd(draw: st.DrawFn) -> dict[str, Any]:
    names = [f"n{number}" for number in range(draw(st.integers(1, 6)))]
    nodes = [
        {
            "name": name,
            "type": f"n8n-nodes-base.{draw(_TYPES)}",
            "parameters": draw(st.dictionaries(_KEYS, _ANY, max_size=5) | _ANY),
            "disabled": draw(st.booleans() | _ANY),
            "credentials": draw(_ANY),
            "retryOnFail": draw(st.booleans()),
            "maxTries": draw(_ANY),
            "typeVersion": draw(_ANY),
        }
        for name in names
    ]
    target = st.fixed_dictionaries(
        {"node": st.sampled_from([*names, "nobody"]) | _ANY, "index": st.integers(-1, 3) | _ANY}
    )
    outputs = st.lists(st.lists(target | _ANY, max_size=3) | _ANY, max_size=3)
    links = st.dictionaries(
        st.sampled_from([*names, "nobody"]),
        st.dictionaries(st.sampled_from(["main", "ai_tool"]), outputs | _ANY) | _ANY,
    )
    return {"name": draw(_ANY), "nodes": nodes, "connections": draw(links | _ANY)}


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(odd())
def test_no_export_is_too_odd(raw: dict[str, Any]) -> None:
    try:
        found = import_n8n(raw, EXPRESSIONS)
    except InvalidInput:
        return
    assert [each.node for each in found.report] == [each["name"] for each in raw["nodes"]]
    json.dumps(found.definition)
    parse(found.definition)
