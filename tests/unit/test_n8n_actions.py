"""Nodes of n8n that ask models, keep vectors, call other workflows, and start the whole."""

from typing import Any

import pytest

from tests.unit.test_n8n_import import export, how, imported, node, run
from tests.unit.workflow_samples import parse


def written(call: dict[str, Any]) -> dict[str, Any]:
    return {"model": "m", "text": f"<{call['with'].get('system', '')}|{call['with']['prompt']}>"}


@pytest.mark.parametrize(
    ("kind", "parameters", "gives"),
    [
        (
            "chainLlm",
            {
                "promptType": "define",
                "text": "=Who is {{ $json.name }}?",
                "messages": {"messageValues": [{"message": "Be short."}]},
            },
            {"text": "<Be short.|Who is Ada?>"},
        ),
        (
            "agent",
            {"text": "={{ $json.name }}", "options": {"systemMessage": "You are kind."}},
            {"output": "<You are kind.|Ada>"},
        ),
        (
            "openAi",
            {
                "modelId": {"value": "gpt-4o"},
                "messages": {"values": [{"content": "={{ $json.name }}"}, {"role": "system", "content": "Short."}]},
            },
            {"message": {"role": "assistant", "content": "<Short.|Ada>"}},
        ),
    ],
)
def test_a_models_node_asks_the_deployments_model_for_each_item(kind: str, parameters: Any, gives: Any) -> None:
    raw = export(node("Ask", kind, parameters), node("After", "noOp"), node("Keep", "limit", {"maxItems": 9}))
    told = run(raw, lambda call: written(call) if "prompt" in call["with"] else call["with"])
    assert told.status == "SUCCEEDED", told
    assert told.results["keep"]["items"][0] == gives
    assert len(told.results["keep"]["items"]) == 2
    assert how(raw)["Ask"] == "approximated"


def test_a_workflow_is_called_by_its_name_for_each_item() -> None:
    target = {"__rl": True, "mode": "list", "value": "x1", "cachedResultName": "Tell people"}
    definition = parse(imported(export(node("Call", "executeWorkflow", {"workflowId": target}))).definition)
    step = definition.steps["call"]
    assert (step.action.name, step.arguments["workflow"]) == ("workflow.call", "Tell people")
    raw = export(node("Call", "executeWorkflow", {"workflowId": "={{ $json.id }}"}))
    assert how(raw)["Call"] == "unsupported"


def test_items_are_inserted_into_a_vector_store_whole() -> None:
    raw = export(node("Keep", "vectorStoreQdrant", {"mode": "insert"}))
    told = run(
        raw,
        lambda call: {"inserted": len(call["with"]["points"]), "ids": []} if "points" in call["with"] else call["with"],
    )
    assert told.results["keep"] == {"inserted": 2, "ids": []}


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
def test_a_schedule_becomes_a_trigger_in_the_workflows_zone(interval: Any, cron: str) -> None:
    trigger = node("Clock", "scheduleTrigger", {"rule": {"interval": [interval]}})
    raw = {"nodes": [trigger], "connections": {}, "settings": {"timezone": "Asia/Tokyo"}}
    found = imported(raw)
    assert found.definition["triggers"] == [{"schedule": {"cron": cron, "timezone": "Asia/Tokyo"}}]
    assert found.report[0].how == "exact"


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
def test_a_time_that_cron_cannot_say_is_started_by_hand_and_said(interval: Any) -> None:
    found = imported({"nodes": [node("Clock", "scheduleTrigger", {"rule": {"interval": [interval]}})]})
    assert "triggers" not in found.definition
    assert "execute" in found.report[0].notes[0]


def test_a_webhook_becomes_a_signed_one() -> None:
    found = imported({"nodes": [node("Hook", "webhook", {"path": "x"})], "settings": {"timezone": "DEFAULT"}})
    assert found.definition["triggers"] == [{"webhook": {}}]
    assert "signed" in found.report[0].notes[0]


def test_a_schedule_that_is_written_in_another_way_is_not_taken_for_midnight() -> None:
    old = node("Cron", "scheduleTrigger", {"rule": "cron", "triggerAtTime": "0 7 * * *"})
    found = imported({"nodes": [old]})
    assert "triggers" not in found.definition
    assert found.report[0].how == "approximated"


@pytest.mark.parametrize(
    ("value", "gives"),
    [
        ("={{ `Dear ${$json.name}, you are ${$json.age + 0}.` }}", None),
        ("={{ `Dear ${$json.name}, you are ${$json.age}.` }}", "Dear Ada, you are 36."),
        ("={{ `${$json.name}` }}", "Ada"),
        ("={{ `no \\`value\\`` }}", "no `value`"),
        ("={{ `${ {a: 1} }` }}", None),
        ("={{ JSON.stringify($json.name) }}", '"Ada"'),
        ("={{ JSON.stringify($json.tags) }}", '["x","y"]'),
        ('=[{{ JSON.stringify($json.age) }}, {{ JSON.stringify("a \\"b\\"") }}]', '[36, "a \\"b\\""]'),
        ("={{ JSON.stringify($json.tags, null, 2) }}", '["x","y"]'),
        ("={{ JSON.parse($json.name) }}", None),
    ],
)
def test_templates_and_json_are_written_as_javascript_writes_them(value: str, gives: str | None) -> None:
    raw = export(
        node("Set", "set", {"assignments": {"assignments": [{"name": "v", "value": value, "type": "string"}]}})
    )
    if gives is None:
        assert how(raw)["Set"] == "unsupported"
    else:
        assert run(raw).results["set"]["items"][0] == {"v": gives}


def test_a_raw_body_is_sent_as_text_of_its_type() -> None:
    parameters = {
        "method": "POST",
        "url": "https://example.com/",
        "sendBody": True,
        "contentType": "raw",
        "rawContentType": "application/json",
        "body": '={"text": {{ JSON.stringify($json.name) }}}',
    }
    sent: list[Any] = []

    def answer(call: Any) -> Any:
        sent.append(call["with"])
        return {"body": 1}

    run(export(node("Send", "httpRequest", parameters)), answer)
    assert sent[0]["body"] == '{"text": "Ada"}'
    assert sent[0]["headers"] == {"content-type": "application/json"}
