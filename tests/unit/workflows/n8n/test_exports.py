"""Tests for odd, hostile and malformed exports of n8n."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from email_sender.errors import InvalidInput
from email_sender.workflows.n8n.importer import import_n8n
from email_sender.workflows.n8n.item_nodes import ITEM_TYPES, texts_in
from email_sender.workflows.n8n.nodes import _CONVERTERS
from tests.unit.workflows.n8n.samples import EXPRESSIONS, connections_to, conversions, export, import_and_parse, node
from tests.unit.workflows.samples import parse


@pytest.mark.parametrize("kind", [*sorted(_CONVERTERS), *sorted(ITEM_TYPES)])
def test_no_text_of_an_export_becomes_an_expression_of_ours(kind: str) -> None:
    ours = "{% $string($steps) %}"
    names = [
        "url", "body", "rawContentType", "workflowId", "text", "prompt", "channelId", "jsCode", "fieldToSplitOut",
        "path", "errorMessage", "collection", "modelId", "jsonOutput", "value1",
    ]  # fmt: skip
    pairs = {"parameters": [{"name": "x", "value": ours}], "values": [{"content": ours, "name": "x", "value": ours}]}
    switches = {"sendBody": True, "sendHeaders": True, "sendQuery": True}
    more = {"headerParameters": pairs, "queryParameters": pairs, "messages": pairs, "contentType": "raw", **switches}
    raw = export(node(ours, kind, {**dict.fromkeys(names, ours), **more}))
    raw["name"] = ours
    definition = dict(import_and_parse(raw).definition)
    definition.pop("name")
    assert ours not in [*texts_in(definition)]


@pytest.mark.parametrize("kind", ["set", "executeWorkflow", "httpRequest"])
def test_parameters_that_no_definition_can_hold_are_unsupported(kind: str) -> None:
    deep: Any = "={{ $json.name }}"
    for _ in range(40):
        deep = [deep]
    for odd in (deep, {"{% $steps %}": "={{ 1 }}"}):
        parameters = {"url": odd, "workflowId": "Other", "assignments": odd}
        outcomes = conversions(export(node("It", kind, parameters)))
        assert outcomes["It"] == ("approximated" if kind == "executeWorkflow" else "unsupported")


def test_nodes_without_a_name_or_with_the_name_of_another_get_one() -> None:
    raw = {"nodes": [{"type": "n8n-nodes-base.stickyNote"}, node("a", "manualTrigger"), node("a", "set")]}
    assert [entry.node for entry in import_and_parse(raw).report] == ["stickyNote", "a", "a1"]


def test_node_names_become_unique_step_ids() -> None:
    raw = export(*(node(name, "redis") for name in ("1. Größe!", "1  gr e", "日本")))
    steps = [step["id"] for step in import_and_parse(raw).definition["steps"]]
    assert len(set(steps)) == 5
    assert steps[2:] == ["node-1-gr-e", "node-1-gr-e-2", "node"]


@pytest.mark.parametrize(
    "raw",
    [
        {}, {"nodes": []}, {"nodes": {}}, {"nodes": [3]}, {"nodes": [{"name": "a"}]},
        {"nodes": [{"name": 1, "type": "x"}]}, {"nodes": [{"name": "a" * 201, "type": "x"}]},
        {"nodes": [node(f"n{number}", "set") for number in range(401)]},
    ],
)  # fmt: skip
def test_a_malformed_export_is_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        import_n8n(raw, EXPRESSIONS)


def test_a_long_chain_of_merges_stays_within_limits() -> None:
    nodes = [node(f"n{number}", "noOp") for number in range(150)]
    raw = export(*nodes)
    for number in range(0, 140):
        raw["connections"][f"n{number}"] = connections_to([f"n{number + 1}", f"n{number + 2}"])
    import_and_parse(raw)


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
_TYPES = st.sampled_from([*sorted(_CONVERTERS), *sorted(ITEM_TYPES), "gmail", "agent", "stickyNote", "nothing", ""])


@st.composite
def unusual_exports(draw: st.DrawFn) -> dict[str, Any]:
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
@given(unusual_exports())
def test_any_export_is_imported_or_rejected(raw: dict[str, Any]) -> None:
    try:
        result = import_n8n(raw, EXPRESSIONS)
    except InvalidInput:
        return
    assert len({entry.node for entry in result.report}) == len(raw["nodes"])
    json.dumps(result.definition)
    parse(result.definition)
