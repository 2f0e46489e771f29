"""Tests for importing n8n workflows: what the nodes give, and what the report says."""

from typing import Any

import pytest

from tests.fakes.state_machine import TaskError
from tests.fakes.workflow_reference import ReferenceOutcome, run_reference
from tests.unit.workflows.n8n.samples import (
    PEOPLE,
    connections_to,
    conversions,
    export,
    import_and_parse,
    items,
    items_in,
    node,
    run,
)
from tests.unit.workflows.n8n.sandbox import run_nodes
from tests.unit.workflows.samples import compile_raw, parse

MAIL_ID = "01a22e00-0000-7000-8000-000000000001"


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
    older = export(
        node("Edit", "set", {"values": {"string": [{"name": "a", "value": "b"}]}, "keepOnlySet": True}, typeVersion=2)
    )
    assert items(older, "edit") == [{"a": "b"}, {"a": "b"}]
    assert conversions(older) == {"Start": "exact", "People": "exact", "Edit": "exact"}


def test_if_sends_each_item_to_one_output() -> None:
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
    for parameters, version in ((newer, 2.2), (older, 1)):
        raw = export(
            node("Grown up", "if", parameters, typeVersion=version), node("Yes", "limit", {"maxItems": 9}),
            node("No", "limit", {"maxItems": 9}),
            connections={"Grown up": connections_to("Yes", "No"), "Yes": connections_to()},
        )  # fmt: skip
        outcome = run(raw)
        assert [item["name"] for item in items_in(outcome, "yes")] == ["Ada"]
        assert [item["name"] for item in items_in(outcome, "no")] == ["Bob"]


def test_switch_uses_the_first_matching_rule_or_the_fallback() -> None:
    def rule(operation: str, value: int) -> dict[str, Any]:
        test = {"leftValue": "={{ $json.age }}", "rightValue": value}
        return {"conditions": {"conditions": [{**test, "operator": {"type": "number", "operation": operation}}]}}

    parameters = {"rules": {"values": [rule("gt", 30), rule("gt", 35)]}, "options": {"fallbackOutput": "extra"}}
    outcome = run(export(node("Ways", "switch", parameters)))
    names = [[item["name"] for item in items_in(outcome, "ways", output)] for output in range(3)]
    assert names == [["Ada"], [], ["Bob"]]


@pytest.mark.parametrize(
    ("kind", "parameters", "expected_items"),
    [
        ("filter", {"conditions": {"conditions": [{"leftValue": "={{ $json.tags }}", "operator": {
            "type": "array", "operation": "notEmpty"}}]}}, [PEOPLE[0]]),
        ("limit", {"maxItems": 1}, [PEOPLE[0]]),
        ("limit", {"maxItems": 1, "keep": "lastItems"}, [PEOPLE[1]]),
        ("splitOut", {"fieldToSplitOut": "tags"}, [{"tags": "x"}, {"tags": "y"}]),
        ("aggregate", {"aggregate": "aggregateAllItemData"}, [{"data": PEOPLE}]),
        ("aggregate", {"fieldsToAggregate": {"fieldToAggregate": [{"fieldToAggregate": "name"}]}},
         [{"name": ["Ada", "Bob"]}]),
        ("removeDuplicates", {"compare": "selectedFields", "fieldsToCompare": "name"}, PEOPLE),
        ("sort", {"sortFieldsUi": {"sortField": [{"fieldName": "age"}]}}, PEOPLE[::-1]),
    ],
)  # fmt: skip
def test_list_nodes_work_as_in_n8n(kind: str, parameters: dict[str, Any], expected_items: Any) -> None:
    assert items(export(node("It", kind, parameters)), "it") == expected_items


def test_merge_appends_or_joins_by_position() -> None:
    for parameters, expected_items in (
        ({}, [{"a": "b"}, {"a": "b"}, *PEOPLE]),
        ({"mode": "combine", "combineBy": "combineByPosition"}, [{"a": "b"} | person for person in PEOPLE]),
    ):
        values = {"values": {"string": [{"name": "a", "value": "b"}]}, "keepOnlySet": True}
        edit = node("Edit", "set", values, typeVersion=2)
        raw = export(
            edit, node("Both", "merge", parameters), connections={"People": connections_to(["Edit", "Both/1"])}
        )
        assert items(raw, "both") == expected_items


def test_an_unsupported_node_fails_by_name_only_when_it_is_reached() -> None:
    never_true = {"conditions": {"number": [{"value1": "={{$json.age}}", "operation": "larger", "value2": 99}]}}
    raw = export(node("Old", "if", never_true, typeVersion=1), node("Send mail", "redis"), node("After", "noOp"))
    assert run(raw).status == "SUCCEEDED"
    raw = export(node("Send mail", "redis"), node("After", "limit"))
    outcome = run(raw)
    assert (outcome.status, outcome.failed) == ("FAILED", {"send-mail"})
    entry = next(candidate for candidate in import_and_parse(raw).report if candidate.node == "Send mail")
    assert str(entry.outcome) == "unsupported"
    assert entry.notes == ["no step does what this node does"]
    compile_raw(import_and_parse(raw).definition)


def test_a_loop_returns_the_items_of_its_body() -> None:
    body = node("Body", "set", {"values": {"string": [{"name": "done", "value": "yes"}]}}, typeVersion=2)
    raw = export(
        node("Loop", "splitInBatches", typeVersion=3), body, node("After", "limit", {"maxItems": 99}),
        connections={"Loop": connections_to("After", "Body"), "Body": connections_to("Loop")},
    )  # fmt: skip
    assert [item["done"] for item in items(raw, "after")] == ["yes", "yes"]
    assert conversions(raw)["Loop"] == "exact"


def test_notes_sub_nodes_orphans_and_disabled_nodes_are_reported() -> None:
    raw = export(node("Off", "gmail", disabled=True), node("After", "limit", {"maxItems": 9}))
    raw["nodes"] += [node("Note", "stickyNote"), node("Model", "lmChatOpenAi"), node("Alone", "set")]
    raw["connections"]["Model"] = {"ai_languageModel": [[{"node": "After"}]]}
    assert items(raw, "after") == PEOPLE
    assert conversions(raw) == {
        "Start": "exact", "People": "exact", "Off": "exact", "After": "exact", "Note": "dropped", "Model": "dropped",
        "Alone": "dropped",
    }  # fmt: skip


@pytest.mark.parametrize(("version", "seconds"), [(1, 3_600), (1.1, 5)])
def test_a_wait_without_parameters_takes_the_default_of_its_version(version: float, seconds: int) -> None:
    raw = export(node("Wait", "wait", typeVersion=version), node("After", "limit", {"maxItems": 9}))
    step = next(step for step in import_and_parse(raw).definition["steps"] if step["id"] == "wait")
    assert step["with"] == {"seconds": seconds}
    assert "settings" not in import_and_parse(raw).definition
    assert items(raw, "after") == PEOPLE


@pytest.mark.parametrize(
    ("parameters", "wait"),
    [
        ({"amount": "={{ $json.name.length * 2 }}", "unit": "minutes"}, {"seconds": 360}),
        ({"amount": "={{ '-1' }}", "unit": "days"}, {"seconds": 0}),
        ({"amount": "={{ 9999 }}", "unit": "days"}, {"seconds": 31_536_000}),
        ({"resume": "specificTime", "dateTime": "2026-12-01T09:00:00"}, {"until": "2026-12-01T09:00:00.000-05:00"}),
        (
            {"resume": "specificTime", "dateTime": "={{ DateTime.fromISO('2026-12-01T09:00:00Z') }}"},
            {"until": "2026-12-01T04:00:00.000-05:00"},
        ),
    ],
)
def test_a_wait_reads_its_parameters_from_the_first_item(parameters: dict[str, Any], wait: dict[str, Any]) -> None:
    raw = export(node("Wait", "wait", parameters, typeVersion=1.1), node("After", "limit", {"maxItems": 9}))
    raw["settings"] = {"timezone": "America/New_York"}
    step = next(step for step in import_and_parse(raw).definition["steps"] if step["id"] == "wait")
    (name,) = wait
    assert step["with"][name].startswith("{% ")
    outcome = run(raw, lambda _call: {})
    assert outcome.status == "SUCCEEDED", outcome
    assert outcome.waits == [wait[name]]
    assert import_and_parse(raw).definition["settings"] == {"timeout": "P365D"}
    assert conversions(raw)["Wait"] == "exact"


@pytest.mark.parametrize(
    ("triggers", "branches"),
    [
        (["scheduleTrigger", "webhook", "manualTrigger"], {"schedule": [0], "webhook": [1], "request": [2]}),
        (["manualTrigger", "executeWorkflowTrigger"], {"request": [0], "call": [1]}),
        (["chatTrigger", "executeWorkflowTrigger", "formTrigger"], {"request": [2], "call": [1]}),
        (["gmailTrigger", "webhook"], {"event": [0], "webhook": [1], "request": [1], "call": [1]}),
        (["scheduleTrigger", "scheduleTrigger", "executeWorkflowTrigger"], {"schedule": [0, 1], "call": [2]}),
    ],
)
def test_only_the_branch_of_the_trigger_that_fired_runs(triggers: list[str], branches: dict[str, list[int]]) -> None:
    starts = [node(f"T{number}", kind) for number, kind in enumerate(triggers)]
    sets = [node(f"S{number}", "set", typeVersion=2) for number in range(len(triggers))]
    connections = {f"T{number}": connections_to(f"S{number}") for number in range(len(triggers))}
    definition = parse(import_and_parse({"nodes": [*starts, *sets], "connections": connections}).definition)

    def run_node(call: dict[str, Any]) -> Any:
        mail = {"mail": {"id": "m", "from": "a@b.example", "subject": "s", "text": "t"}}
        return run_nodes(call["with"], lambda _request: mail) if call["action"] == "n8n.node" else call["with"]

    for cause, ran in branches.items():
        outcome = run_reference(definition, {"name": "Ada"}, run_node, TaskError, cause)
        assert outcome.status == "SUCCEEDED", outcome
        assert [number for number in range(len(triggers)) if outcome.statuses[f"s{number}"] == "succeeded"] == ran


def test_a_called_workflow_gets_the_items_with_the_fields_that_it_declares() -> None:
    declared = {"workflowInputs": {"values": [{"name": "name"}, {"name": "city", "type": "string"}]}}
    called = node("Called", "executeWorkflowTrigger", declared, typeVersion=1.1)
    sources: list[tuple[dict[str, Any], Any]] = [
        (called, [{"name": "Ada", "city": None}, {"name": "Bob", "city": None}]),
        (node("Called", "executeWorkflowTrigger", {"inputSource": "jsonExample", "jsonExample": '{"age": 1}'},
              typeVersion=1.1), [{"age": 36}, {"age": 7}]),
        (node("Called", "executeWorkflowTrigger", {"inputSource": "passthrough"}, typeVersion=1.1), PEOPLE),
        (node("Called", "executeWorkflowTrigger"), PEOPLE),
    ]  # fmt: skip
    for trigger, expected in sources:
        raw = {"nodes": [trigger, node("All", "noOp")], "connections": {"Called": connections_to("All")}}
        definition = parse(import_and_parse(raw).definition)
        for inputs, items_got in (({"n8n_items": PEOPLE}, expected), (PEOPLE[0], expected[:1])):
            outcome = run_reference(definition, inputs, lambda call: run_nodes(call["with"]), TaskError, "call")
            assert items_in(outcome, "all") == items_got


def test_a_loop_of_item_nodes_and_a_merge_run_as_in_n8n() -> None:
    counter = "return $input.all().map(i => ({json: {...i.json, age: i.json.age + 10}}))"
    young = {"conditions": {"number": [{"value1": "={{ $json.age }}", "operation": "smaller", "value2": 30}]}}
    raw = export(
        node("Young?", "if", young, typeVersion=1), node("Older", "code", {"jsCode": counter}),
        node("Done", "limit", {"maxItems": 9}),
        connections={"Young?": connections_to("Older", "Done"), "Older": connections_to("Young?")},
    )  # fmt: skip
    assert [(item["name"], item["age"]) for item in items(raw, "done")] == [("Bob", 37), ("Ada", 36)]
    assert set(conversions(raw).values()) == {"exact"}


def test_an_export_with_only_triggers_is_a_workflow() -> None:
    raw = {"nodes": [node("Hook", "webhook")], "connections": {}}
    assert run(raw).results["hook"]["items"][0]["body"] == {"people": PEOPLE}
    assert import_and_parse({"nodes": [node("Note", "stickyNote")]}).definition["steps"][0]["id"] == "nothing"


def test_a_trigger_of_another_system_starts_a_workflow_too() -> None:
    raw = {
        "nodes": [node("New mail", "gmailTrigger"), node("All", "limit", {"maxItems": 9})],
        "connections": {"New mail": connections_to("All")},
    }
    assert conversions(raw) == {"New mail": "approximated", "All": "exact"}
    assert items(raw, "all") == [{"people": PEOPLE}], "the inputs of a run that somebody starts"


@pytest.mark.parametrize("kind", ["gmailTrigger", "emailReadImap", "microsoftOutlookTrigger"])
def test_a_trigger_of_a_mailbox_starts_a_run_for_each_mail_that_arrives_here(kind: str) -> None:
    raw = {
        "nodes": [node("New mail", kind), node("All", "limit", {"maxItems": 9})],
        "connections": {"New mail": connections_to("All")},
    }
    definition = import_and_parse(raw).definition
    assert definition["triggers"] == [
        {"event": {"source": ["email_sender.messaging"], "detail-type": ["message.received"]}}
    ]
    known = {"id": MAIL_ID, "date": "2026-11-30T10:00:00Z", "contact_id": None}
    (item,) = items_in(outcome_of_mail(definition), "all")
    assert {name: item[name] for name in known} == known
    assert item.get("Subject", item.get("subject")) == "The disk"
    # One that was deleted meanwhile.
    assert items_in(outcome_of_mail(definition, exists=False), "all") == [known]


@pytest.mark.parametrize(
    ("kind", "parameters", "fields"),
    [
        ("gmailTrigger", {}, {"From": "Ada <ada@people.example>", "snippet": "It is <full>.\nAda", "threadId": "t"}),
        ("gmailTrigger", {"simple": False}, {
            "from": {"value": [{"name": "Ada", "address": "ada@people.example"}], "text": "Ada <ada@people.example>",
                     "html": "Ada &lt;ada@people.example&gt;"},
            "text": "It is <full>.\nAda", "textAsHtml": "<p>It is &lt;full&gt;.<br/>Ada</p>", "messageId": "<1@x>"}),
        ("emailReadImap", {}, {"textPlain": "It is <full>.\nAda", "from": "Ada <ada@people.example>"}),
        ("emailReadImap", {"format": "resolved"}, {"text": "It is <full>.\nAda", "messageId": "<1@x>"}),
        ("microsoftOutlookTrigger", {}, {"from": "ada@people.example", "bodyPreview": "It is <full>.\nAda"}),
        ("microsoftOutlookTrigger", {"output": "raw"},
         {"body": {"contentType": "text", "content": "It is <full>.\nAda"}}),
    ],
)  # fmt: skip
def test_the_item_of_a_mail_has_the_fields_of_the_trigger(
    kind: str, parameters: dict[str, Any], fields: dict[str, Any]
) -> None:
    raw = {
        "nodes": [node("New mail", kind, parameters), node("All", "limit", {"maxItems": 9})],
        "connections": {"New mail": connections_to("All")},
    }
    (item,) = items_in(outcome_of_mail(import_and_parse(raw).definition), "all")
    assert {name: item[name] for name in fields} == fields


def outcome_of_mail(definition: Any, *, exists: bool = True) -> ReferenceOutcome:
    """Run a workflow for a mail that came in."""
    event = {
        "id": "e", "source": "email_sender.messaging", "type": "message.received", "time": "2026-11-30T10:00:00Z",
        "data": {"message_id": MAIL_ID, "contact_id": None, "class": "person"},
    }  # fmt: skip
    mail = {"thread_id": "t", "message_id": "<1@x>", "subject": "The disk", "text": "It is <full>.\nAda",
            "from": {"name": "Ada", "address": "ada@people.example"}}  # fmt: skip

    def answer(request: Any) -> Any:
        assert request == {"mail": {"id": MAIL_ID}}
        return {"mail": mail if exists else None}

    return run_reference(parse(definition), {"event": event}, lambda call: run_nodes(call["with"], answer), TaskError)


def test_an_error_trigger_starts_a_run_for_each_run_that_fails() -> None:
    raw = {
        "nodes": [node("Failed", "errorTrigger"), node("All", "limit", {"maxItems": 9})],
        "connections": {"Failed": connections_to("All")},
    }
    definition = import_and_parse(raw).definition
    assert definition["triggers"] == [{"event": {"source": ["email_sender.workflows"], "detail-type": ["run.failed"]}}]
    data = {"run_id": "r-1", "workflow_id": "w-1", "step": "send", "error": "rejected", "message": "No mail."}
    inputs = {"event": {"id": "e", "source": "email_sender.workflows", "type": "run.failed", "data": data}}
    outcome = run_reference(parse(definition), inputs, lambda call: run_nodes(call["with"]), TaskError)
    error = {"name": "rejected", "message": "No mail."}
    execution = {"id": "r-1", "mode": "trigger", "error": error, "lastNodeExecuted": "send"}
    assert items_in(outcome, "all") == [{"execution": execution, "workflow": {"id": "w-1", "name": "w-1"}}]


def test_a_trigger_whose_branch_does_not_run_starts_nothing() -> None:
    raw = {"nodes": [node("Hook", "webhook"), node("Other", "webhook")], "connections": {}}
    assert import_and_parse(raw).definition["triggers"] == [{"webhook": {"auth": "secret"}}]


# ---- Expressions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("plain", "plain"), ("={{ $json.name }}", "Ada"), ("=a {{ $json.age }} b", "a 36 b"), ("=", ""),
        ("={{ $json['name'] }}", "Ada"), ('={{ $json["tags"][1] }}', "y"), ("={{ $json.name.toUpperCase() }}", "ADA"),
        ("={{ $json.age > 18 ? 'old' : \"young\" }}", "old"), ("={{ 'a' + $json.age }}", "a36"),
        ("={{ !($json.age === 36) }}", "false"), ("={{ $json.age >= 1 && $json.name !== 'x' }}", "true"),
        ("={{ (1 + 2) * 3 - 4 / 2 }}", "7"), ("={{ -1 }}", "-1"), ("={{ 'it\\'s \"so\"' }}", "it's \"so\""),
        ("={{ null }}", None), ("={{ $input.item.json.name }}", "Ada"), ("={{ $('People').first().json.name }}", "Ada"),
        ("={{ $node['People'].json.age }}", "36"), ("={{ $('People').last().json.name }}", "Bob"),
        ("={{ 'abc'.includes('b') }}", "true"), ("={{ $json?.name }}", "Ada"), ("={{ `x` }}", "x"),
    ],
)  # fmt: skip
def test_an_expression_of_a_set_node_has_its_value(source: str, value: object) -> None:
    assignment = {"assignments": {"assignments": [{"name": "v", "value": source, "type": "string"}]}}
    assert items(export(node("Edit", "set", assignment)), "edit")[0].get("v") == value


def test_a_run_is_never_an_evaluation() -> None:
    """As n8n 2.41.1 does it in a run that is none."""
    check = node("Check", "evaluation", {"operation": "checkIfEvaluating"}) | {"typeVersion": 4.7}
    links = {"Check": connections_to("Judge", "Work"), "Judge": connections_to(), "Work": connections_to()}
    raw = export(check, node("Judge", "noOp"), node("Work", "limit", {"maxItems": 9}), connections=links)
    assert [item["name"] for item in items(raw, "work")] == ["Ada", "Bob"]
    assert items(raw, "judge") == []
    metric = {"name": "m", "value": "={{ $json.age }}", "type": "number"}
    metrics = node("Measure", "evaluation", {"operation": "setMetrics", "metrics": {"assignments": [metric]}})
    assert items(export(metrics | {"typeVersion": 4.6}, node("Keep", "noOp")), "keep") == [{"m": 36}, {"m": 7}]
    assert conversions(export(metrics | {"typeVersion": 4.7}))["Measure"] == "unsupported"
    assert conversions(export(node("Write", "evaluation")))["Write"] == "unsupported"


def test_the_last_page_of_a_form_passes_items_on_and_others_wait_for_a_person() -> None:
    raw = export(node("Thanks", "form", {"operation": "completion"}), node("Keep", "noOp"))
    assert [item["name"] for item in items(raw, "keep")] == ["Ada", "Bob"]
    entry = next(entry for entry in import_and_parse(raw).report if entry.node == "Thanks")
    assert (entry.outcome, entry.notes[0][:21]) == ("approximated", "its page is not shown")
    assert conversions(export(node("More", "form", {"operation": "page"})))["More"] == "unsupported"
