"""Tests for n8n nodes that use models, vector stores or other workflows, and for n8n triggers."""

from typing import Any

import pytest

from tests.fakes.state_machine import TaskError
from tests.fakes.workflow_reference import run_reference
from tests.unit.workflows.n8n.samples import (
    PEOPLE,
    connections_to,
    conversions,
    export,
    import_and_parse,
    items_in,
    node,
    run,
)
from tests.unit.workflows.n8n.sandbox import run_nodes
from tests.unit.workflows.samples import parse


def model_output(call: dict[str, Any]) -> dict[str, Any]:
    return {"model": "m", "text": f"<{call['with'].get('system', '')}|{call['with']['prompt']}>"}


@pytest.mark.parametrize(
    ("kind", "parameters", "expected_item"),
    [
        (
            "openAi",
            {
                "modelId": {"value": "gpt-4o"},
                "messages": {"values": [{"content": "={{ $json.name }}"}, {"role": "system", "content": "Short."}]},
            },
            {"message": {"role": "assistant", "content": "<Short.|Ada>"}},
        ),
        (
            "googleGemini",
            {"messages": {"values": [{"content": "={{ $json.name }}"}]}, "options": {"systemMessage": "Short."}},
            {"content": {"parts": [{"text": "<Short.|Ada>"}], "role": "model"}},
        ),
    ],
)
def test_a_model_node_queries_the_deployments_model_for_each_item(
    kind: str, parameters: Any, expected_item: Any
) -> None:
    raw = export(node("Ask", kind, parameters), node("After", "noOp"), node("Keep", "limit", {"maxItems": 9}))
    outcome = run(raw, lambda call: model_output(call) if "prompt" in call["with"] else call["with"])
    assert outcome.status == "SUCCEEDED", outcome
    assert items_in(outcome, "keep")[0] == expected_item
    assert len(items_in(outcome, "keep")) == 2
    assert conversions(raw)["Ask"] == "approximated"


def test_a_workflow_node_calls_a_workflow_by_its_name() -> None:
    target = {"__rl": True, "mode": "list", "value": "x1", "cachedResultName": "Tell people"}
    definition = parse(import_and_parse(export(node("Call", "executeWorkflow", {"workflowId": target}))).definition)
    step = definition.steps["call"]
    assert (step.action.name, step.arguments["workflow"]) == ("workflow.call", "Tell people")
    raw = export(node("Call", "executeWorkflow", {"workflowId": "={{ $json.id }}"}))
    assert conversions(raw)["Call"] == "unsupported"


_REMOVED = [{"id": name, "displayName": name, "removed": True} for name in ("age", "tags")]
_NAMES = [{"name": "Ada"}, {"name": "Bob"}]


@pytest.mark.parametrize(
    ("mapping", "passed"),
    [
        (None, PEOPLE),
        ({"value": {"who": "={{ $json.name }}", "n": 7}},
         [{**PEOPLE[0], "who": "Ada", "n": 7}, {**PEOPLE[1], "who": "Bob", "n": 7}]),
        ({"value": {"name": "={{ $json.name }}"}, "schema": _REMOVED}, _NAMES),
        ({"value": {"n": "={{ $json.missing }}"}, "schema": [{"id": "n", "type": "number"}]}, PEOPLE),
        ({"value": {"n": "7"}, "attemptToConvertTypes": True, "schema": [{"id": "n", "type": "number"}, *_REMOVED]},
         [{**person, "n": 7} for person in _NAMES]),
        ({"value": {"n": 7}, "schema": [{"id": "n", "type": "string"}, *_REMOVED]},
         [{**person, "n": 7} for person in _NAMES]),
        ({"value": {}}, PEOPLE),
        (3, PEOPLE),
    ],
)  # fmt: skip
@pytest.mark.parametrize("mode", ["once", "each"])
def test_a_workflow_is_called_with_all_items_or_for_each(mode: str, mapping: Any, passed: list[Any]) -> None:
    called: list[Any] = []

    def call(task: dict[str, Any]) -> Any:
        called.append(task["with"]["inputs"])
        return {"run_id": f"r-{len(called)}", "status": "succeeded"}

    def answer(request: Any) -> Any:
        number = request["run"]["id"]
        return {"items": [{"of": number, "n": 1}, {"of": number, "n": 2}]}

    call_node = node("Call", "executeWorkflow", {"workflowId": "Tell", "mode": mode}, typeVersion=1.2)
    if mapping is not None:
        call_node["parameters"]["workflowInputs"] = mapping
    outcome = run(export(call_node, node("All", "noOp")), call, answer)
    assert outcome.status == "SUCCEEDED", outcome
    assert called == (passed if mode == "each" else [{"n8n_items": passed}])
    runs = range(1, len(called) + 1)
    assert items_in(outcome, "all") == [{"of": f"r-{number}", "n": n} for number in runs for n in (1, 2)]


@pytest.mark.parametrize("mode", ["once", "each"])
def test_a_value_of_another_type_than_the_called_workflow_declares_fails_the_node(mode: str) -> None:
    mapping = {"value": {"n": "={{ $json.name }}"}, "schema": [{"id": "n", "type": "number"}]}
    parameters = {"workflowId": "Tell", "mode": mode, "workflowInputs": mapping}
    outcome = run(export(node("Call", "executeWorkflow", parameters, typeVersion=1.2)))
    assert outcome.status == "FAILED"


def test_a_single_item_is_passed_as_the_inputs() -> None:
    called: list[Any] = []

    def call(task: dict[str, Any]) -> Any:
        called.append(task["with"])
        return {"run_id": "r"}

    first, tell = node("First", "limit"), {"workflowId": "Tell", "options": {"waitForSubWorkflow": False}}
    outcome = run(export(first, node("Call", "executeWorkflow", tell), node("All", "noOp")), call)
    assert called == [{"workflow": "Tell", "wait": False, "inputs": PEOPLE[0]}]
    assert items_in(outcome, "all") == [PEOPLE[0]]


def test_a_call_that_fails_is_an_item_if_the_node_continues() -> None:
    def call(task: dict[str, Any]) -> Any:
        if task["with"]["inputs"]["name"] == "Ada":
            raise TaskError("rejected", "The run failed.")
        return {"run_id": "r"}

    parameters = {"workflowId": "Tell", "mode": "each"}
    raw = export(node("Call", "executeWorkflow", parameters, onError="continueRegularOutput"), node("All", "noOp"))
    outcome = run(raw, call, lambda _request: {"items": [{"told": True}]})
    assert items_in(outcome, "all") == [{"error": "The run failed."}, {"told": True}]


def test_a_called_workflow_without_a_result_fails_the_node() -> None:
    raw = export(node("Call", "executeWorkflow", {"workflowId": "Tell"}))
    outcome = run(raw, lambda _task: {"run_id": "r", "status": "succeeded"}, lambda _request: {"error": "Not yours."})
    assert outcome.status == "FAILED"


def test_a_workflow_can_call_itself() -> None:
    target = {"__rl": True, "mode": "id", "value": "={{ $workflow.id }}"}
    definition = parse(import_and_parse(export(node("Call", "executeWorkflow", {"workflowId": target}))).definition)
    assert definition.steps["call"].arguments["workflow"] == definition.name


def test_a_node_that_names_no_workflow_fails_when_it_is_reached() -> None:
    raw = export(node("Call", "executeWorkflow", {}))
    assert conversions(raw)["Call"] == "approximated"
    assert run(raw).status == "FAILED"


def test_a_vector_store_node_inserts_all_items_at_once() -> None:
    raw = export(node("Keep", "vectorStoreQdrant", {"mode": "insert"}))
    outcome = run(
        raw,
        lambda call: {"inserted": len(call["with"]["points"]), "ids": []} if "points" in call["with"] else call["with"],
    )
    assert outcome.results["keep"] == {"inserted": 2, "ids": []}


@pytest.mark.parametrize(
    ("interval", "cron"),
    [
        ({}, "0 0 * * ? *"),
        ({"triggerAtHour": 9, "triggerAtMinute": 30}, "30 9 * * ? *"),
        ({"field": "minutes", "minutesInterval": 10}, "0/10 * * * ? *"),
        ({"field": "hours", "hoursInterval": 6, "triggerAtMinute": 15}, "15 0/6 * * ? *"),
        ({"field": "weeks", "triggerAtDay": [1, 5], "triggerAtHour": 8}, "0 8 ? * MON,FRI *"),
        ({"field": "months", "triggerAtDayOfMonth": 3}, "0 0 3 * ? *"),
        ({"field": "cronExpression", "expression": "0 9 * * 1-5"}, "0 9 ? * MON-FRI *"),
        ({"field": "cronExpression", "expression": "0 */5 * * * *"}, "*/5 * * * ? *"),
    ],
)
def test_a_schedule_becomes_a_trigger_in_the_time_zone_of_the_workflow(interval: Any, cron: str) -> None:
    trigger = node("Clock", "scheduleTrigger", {"rule": {"interval": [interval]}})
    raw = {"nodes": [trigger], "connections": {}, "settings": {"timezone": "Asia/Tokyo"}}
    result = import_and_parse(raw)
    assert result.definition["triggers"] == [{"schedule": {"cron": cron, "timezone": "Asia/Tokyo"}}]
    assert result.report[0].outcome == "exact"


@pytest.mark.parametrize(
    "interval",
    [
        {"field": "seconds", "secondsInterval": 5},
        {"daysInterval": 2},
        {"field": "cronExpression", "expression": "0 9 1 * 1"},
        {"field": "cronExpression", "expression": "whenever"},
        {"field": "hours", "hoursInterval": "={{ 3 }}"},
        {"field": "minutes", "minutesInterval": 0},
        {"field": ["odd"]},
        "odd",
    ],
)
def test_a_schedule_that_cron_cannot_express_must_be_started_manually(interval: Any) -> None:
    result = import_and_parse({"nodes": [node("Clock", "scheduleTrigger", {"rule": {"interval": [interval]}})]})
    assert "triggers" not in result.definition
    assert "execute" in result.report[0].notes[0]


def test_a_webhook_node_becomes_a_webhook_that_takes_its_secret() -> None:
    result = import_and_parse({"nodes": [node("Hook", "webhook", {"path": "x"})], "settings": {"timezone": "DEFAULT"}})
    assert result.definition["triggers"] == [{"webhook": {"auth": "secret"}}]
    assert "the webhook's secret" in result.report[0].notes[0]
    (entry,) = import_and_parse({"nodes": [node("Hook", "webhook", {"httpMethod": ["POST", "PATCH"]})]}).report
    assert "callers use POST in place of PATCH" in entry.notes


@pytest.mark.parametrize(
    ("cause", "inputs", "item"),
    [
        (
            "webhook",
            {"method": "GET", "query": {"q": "1"}, "headers": {"x-a": "b"}, "body": {}},
            {"headers": {"x-a": "b"}, "params": {}, "query": {"q": "1"}, "body": {}},
        ),
        ("request", {"a": 1}, {"headers": {}, "params": {}, "query": {}, "body": {"a": 1}}),
    ],
)
def test_the_item_of_a_webhook_has_the_request(cause: str, inputs: dict[str, Any], item: dict[str, Any]) -> None:
    raw = {"nodes": [node("Hook", "webhook"), node("All", "noOp")], "connections": {"Hook": connections_to("All")}}
    definition = parse(import_and_parse(raw).definition)
    outcome = run_reference(definition, inputs, lambda call: run_nodes(call["with"]), TaskError, cause)
    assert items_in(outcome, "all") == [item]


@pytest.mark.parametrize(
    ("methods", "method", "ran"),
    [
        (["GET", "POST"], "GET", ["a"]),
        (["GET", "POST"], "POST", ["b"]),
        (["POST", "PUT"], "POST", ["a"]),
        (["GET", "PUT"], "POST", ["b"]),
    ],
)
def test_each_method_of_a_webhook_has_its_output(methods: list[str], method: str, ran: list[str]) -> None:
    hook = node("Hook", "webhook", {"multipleMethods": True, "httpMethod": methods})
    raw = {"nodes": [hook, node("A", "noOp"), node("B", "noOp")], "connections": {"Hook": connections_to("A", "B")}}
    inputs = {"method": method, "query": {}, "headers": {}, "body": {"n": 1}}
    definition = parse(import_and_parse(raw).definition)
    outcome = run_reference(definition, inputs, lambda call: run_nodes(call["with"]), TaskError, "webhook")
    assert outcome.status == "SUCCEEDED", outcome
    results = {name: items_in(outcome, name) for name in ("a", "b") if outcome.statuses[name] == "succeeded"}
    assert [name for name, items in results.items() if items] == ran


def test_an_unknown_schedule_format_is_not_taken_for_midnight() -> None:
    old = node("Cron", "scheduleTrigger", {"rule": "cron", "triggerAtTime": "0 7 * * *"})
    result = import_and_parse({"nodes": [old]})
    assert "triggers" not in result.definition
    assert result.report[0].outcome == "approximated"


@pytest.mark.parametrize(
    ("value", "expected_value"),
    [
        ("={{ `Dear ${$json.name}, you are ${$json.age + 0}.` }}", "Dear Ada, you are 36."),
        ("={{ $('People').item.json.name.split('d').join('-') }}", "A-a"),
        ("={{ $('Start').first().json.people.length > 1 ? 'many' : 'one' }}", "many"),
        ("{% $steps %}", "{% $steps %}"),
        ("={{ $json.name }} {% if %}", "Ada {% if %}"),
        ("={{ `Dear ${$json.name}, you are ${$json.age}.` }}", "Dear Ada, you are 36."),
        ("={{ `${$json.name}` }}", "Ada"),
        ("={{ `no \\`value\\`` }}", "no `value`"),
        ("={{ JSON.stringify($json.name) }}", '"Ada"'),
        ("={{ JSON.stringify($json.tags) }}", '["x","y"]'),
        ('=[{{ JSON.stringify($json.age) }}, {{ JSON.stringify("a \\"b\\"") }}]', '[36, "a \\"b\\""]'),
        ("={{ JSON.stringify($json.tags, null, 2) }}", '[\n  "x",\n  "y"\n]'),
    ],
)
def test_expressions_of_other_nodes_are_evaluated_in_the_sandbox(value: str, expected_value: str) -> None:
    parameters = {"modelId": {"value": "x"}, "messages": {"values": [{"content": value}]}}
    raw = export(node("Send", "openAi", parameters))
    prompts: list[str] = []

    def respond(call: dict[str, Any]) -> dict[str, Any]:
        prompts.append(call["with"]["prompt"])
        return model_output(call)

    run(raw, respond)
    assert prompts[0] == expected_value
