"""Nodes that stay in the customer's n8n: our step, and the workflow for n8n. `make test-n8n` runs both halves."""

from typing import Any

import pytest

from email_sender.workflows.n8n.bridge import HEADER, BridgeTarget
from email_sender.workflows.n8n.converter import ImportResult
from email_sender.workflows.n8n.importer import import_n8n
from tests.fakes.state_machine import TaskError
from tests.fakes.workflow_reference import run_reference
from tests.unit.workflows.n8n.samples import EXPRESSIONS, PEOPLE, connections_to, export, items_in, node
from tests.unit.workflows.n8n.sandbox import run_nodes
from tests.unit.workflows.samples import parse

BRIDGE = BridgeTarget("https://n8n.acme.example/", "n8n-key")
SHEET = node("Sheet", "googleSheets", {"operation": "append"}) | {"position": [40, 80]}
SET = node("Names", "set", {"assignments": {"assignments": [
    {"name": "row", "value": "={{ $json.row }}", "type": "number"},
    {"name": "of", "value": "={{ $('People').first().json.name }}", "type": "string"},
]}})  # fmt: skip


def bridged(raw: dict[str, Any]) -> ImportResult:
    result = import_n8n(raw, EXPRESSIONS, BRIDGE)
    parse(result.definition)
    return result


def outcomes(result: ImportResult) -> dict[str, str]:
    return {entry.node: str(entry.outcome) for entry in result.report}


def nodes_of(workflow: Any) -> dict[str, Any]:
    return {entry["name"]: entry for entry in workflow["nodes"]}


def test_a_node_without_a_counterpart_is_called_in_n8n_and_its_items_go_on() -> None:
    result = bridged(export(SHEET, SET))
    assert outcomes(result)["Sheet"] == "bridged"
    calls = []

    def respond(call: dict[str, Any]) -> Any:
        if call["action"] == "n8n.node":
            return run_nodes(call["with"])
        calls.append(call["with"])
        return {"result": {"sheet_0": [{"row": 1}, {"row": 2}]}}

    outcome = run_reference(parse(result.definition), {"people": PEOPLE}, respond, TaskError)
    assert items_in(outcome, "names") == [{"row": 1, "of": "Ada"}, {"row": 2, "of": "Ada"}]
    (request,) = calls
    (workflow,) = result.n8n_workflows
    path = nodes_of(workflow)["Email Sender: webhook"]["parameters"]["path"]
    assert request["url"] == f"https://n8n.acme.example/webhook/{path}"
    assert request["secret_headers"] == {HEADER: "n8n-key"}
    assert request["body"] == {"given": [{"node": "People", "outputs": [PEOPLE]}]}


def test_the_workflow_for_n8n_has_the_node_its_inputs_and_its_answer() -> None:
    sheet = SHEET | {"credentials": {"googleSheetsOAuth2Api": {"id": "7", "name": "Ann"}}}
    (workflow,) = bridged(export(sheet, SET)).n8n_workflows
    nodes, connections = nodes_of(workflow), workflow["connections"]
    assert nodes["Sheet"] == sheet | {"onError": "continueErrorOutput"}
    assert [target["node"] for target in connections["Email Sender: webhook"]["main"][0]] == [
        "People", "Email Sender: collect",
    ]  # fmt: skip
    assert connections["People"]["main"] == [[{"node": "Sheet", "type": "main", "index": 0}]]
    assert connections["Sheet"]["main"] == [[], [{"node": "Email Sender: failed", "type": "main", "index": 0}]]
    assert connections["Email Sender: failed"]["main"] == [[{"node": "Email Sender: stop", "type": "main", "index": 0}]]
    assert '"sheet_0"' in nodes["Email Sender: collect"]["parameters"]["jsCode"]
    # n8n runs the branches from the top: the answer is collected after all else.
    heights = {name: entry.get("position", [0, 0])[1] for name, entry in nodes.items()}
    assert heights["Email Sender: failed"] < heights["People"] < heights["Sheet"] < heights["Email Sender: collect"]
    assert workflow["settings"]["executionOrder"] == "v1"


def test_connected_nodes_stay_together_and_keep_their_files() -> None:
    names = ("Rows", "File", "Upload", "Read")
    nodes = [node("File", "convertToFile"), node("Upload", "ftp"), node("Read", "extractFromFile")]
    result = bridged(export(SET, *nodes, node("Rows", "limit")))
    (workflow,) = result.n8n_workflows
    assert {name for name in names if name in nodes_of(workflow)} == {"File", "Upload", "Read"}
    assert [entry.steps for entry in result.report if entry.node in names[1:]] == [["file"], ["file"], ["file"]]


@pytest.mark.parametrize(
    ("kind", "parameters", "stays"),
    [
        ("gmail", {"resource": "draft", "operation": "create", "options": {"attachmentsUi": {"a": [{}]}}}, True),
        ("gmail", {"resource": "draft", "operation": "create", "options": {"attachmentsUi": {}}}, False),
        ("linkedIn", {"shareMediaCategory": "ARTICLE", "additionalFields": {"thumbnailBinaryPropertyName": "a"}}, True),
        ("linkedIn", {"shareMediaCategory": "ARTICLE", "additionalFields": {}}, False),
        ("googleGemini", {"resource": "image", "operation": "edit"}, True),
    ],
)
def test_a_node_that_sends_a_file_of_a_node_in_n8n_stays_there(
    kind: str, parameters: dict[str, Any], stays: bool
) -> None:
    sender = node("Send", kind, parameters, typeVersion=2.1 if kind == "gmail" else 1)
    (workflow,) = bridged(export(node("Fetch", "ftp"), sender)).n8n_workflows
    assert ("Send" in nodes_of(workflow)) is stays


@pytest.mark.parametrize(
    ("version", "parameters", "stays"),
    [
        (4.2, {"options": {"response": {"response": {"responseFormat": "file"}}}}, True),
        (4.2, {"options": {"response": {"response": {"responseFormat": "json"}}}}, False),
        (4.2, {"responseFormat": "file"}, False),
        (2, {"responseFormat": "file"}, True),
        (4.2, {"options": ["response"]}, False),
    ],
)
def test_a_request_stays_in_n8n_only_if_a_node_there_needs_its_file(
    version: float, parameters: dict[str, Any], stays: bool
) -> None:
    request = node("Get", "httpRequest", {"url": "https://example.com", **parameters}, typeVersion=version)
    (workflow,) = bridged(export(request, node("Upload", "ftp"))).n8n_workflows
    given = nodes_of(workflow)["Get"]["type"]
    assert given == ("n8n-nodes-base.httpRequest" if stays else "n8n-nodes-base.code")


def test_a_node_has_what_n8n_requires_of_an_import() -> None:
    bare = {"name": "Bare", "type": "n8n-nodes-base.redis"}
    (workflow,) = bridged(export(bare)).n8n_workflows
    assert nodes_of(workflow)["Bare"] == bare | {
        "typeVersion": 1.0, "parameters": {}, "position": [0, 0], "onError": "continueErrorOutput",
    }  # fmt: skip


def test_nodes_apart_are_two_workflows_with_different_addresses() -> None:
    result = bridged(export(node("One", "redis"), SET, node("Two", "redis")))
    paths = {nodes_of(half)["Email Sender: webhook"]["parameters"]["path"] for half in result.n8n_workflows}
    assert len(paths) == 2
    again = bridged(export(node("One", "redis"), SET, node("Two", "redis")))
    assert again.n8n_workflows == result.n8n_workflows, "a second import does not change the addresses"
    changed = bridged(export(node("One", "redis", {"text": "x"}), SET, node("Two", "redis")))
    assert changed.n8n_workflows[0] != result.n8n_workflows[0]
    urls = [
        [step["with"]["url"] for step in imported.definition["steps"] if step["uses"] == "http.wait_for_callback"]
        for imported in (result, changed)
    ]
    assert (urls[0][0] != urls[1][0], urls[0][1] == urls[1][1]) == (True, True)


def test_a_loop_around_such_a_node_stays_in_n8n_as_a_whole() -> None:
    loop = node("Loop", "splitInBatches") | {"typeVersion": 3}
    connections = {"Loop": connections_to("Names", "Sheet"), "Sheet": connections_to("Loop")}
    result = bridged(export(loop, SHEET, SET, connections=connections))
    assert {name: outcome for name, outcome in outcomes(result).items() if name in ("Loop", "Sheet", "Names")} == {
        "Loop": "bridged", "Sheet": "bridged", "Names": "exact",
    }  # fmt: skip
    (workflow,) = result.n8n_workflows
    assert workflow["connections"]["Sheet"]["main"][0][0]["node"] == "Loop"


def test_an_agent_with_a_tool_that_only_n8n_has_stays_there_with_all_that_belongs_to_it() -> None:
    agent, model, tool = node("Agent", "agent"), node("Model", "lmChatOpenAi"), node("Tool", "airtopTool")
    raw = export(agent, SET)
    raw["nodes"] += [model, tool]
    raw["connections"] |= {
        "Model": {"ai_languageModel": [[{"node": "Agent", "type": "ai_languageModel", "index": 0}]]},
        "Tool": {"ai_tool": [[{"node": "Agent", "type": "ai_tool", "index": 0}]]},
    }
    assert outcomes(import_n8n(raw, EXPRESSIONS))["Agent"] == "unsupported"
    result = bridged(raw)
    assert outcomes(result)["Agent"] == "bridged"
    (workflow,) = result.n8n_workflows
    assert {"Model", "Tool"} <= nodes_of(workflow).keys()
    assert workflow["connections"]["Tool"] == {"ai_tool": [[{"node": "Agent", "type": "ai_tool", "index": 0}]]}


def test_a_model_of_two_agents_is_in_both_workflows_without_the_other_agent() -> None:
    raw = export(node("One", "agent"), SET, node("Two", "agent"))
    raw["nodes"] += [node("Model", "lmChatOpenAi"), node("Tool", "airtopTool"), node("Other tool", "airtopTool")]
    model = [{"node": name, "type": "ai_languageModel", "index": 1} for name in ("One", "Two")]
    raw["connections"] |= {
        "Model": {"ai_languageModel": [model]},
        "Tool": {"ai_tool": [[{"node": "One", "type": "ai_tool", "index": 0}]]},
        "Other tool": {"ai_tool": [[{"node": "Two", "type": "ai_tool", "index": 0}]]},
    }
    halves = bridged(raw).n8n_workflows
    assert [half["connections"]["Model"]["ai_languageModel"] for half in halves] == [[model[:1]], [model[1:]]]


def test_a_node_with_several_outputs_keeps_them() -> None:
    sheet = node("Sheet", "somethingNew", position=[0, 0])
    connections = {"Sheet": connections_to("Names", "Other")}
    (workflow,) = bridged(export(sheet, SET, node("Other", "noOp"), connections=connections)).n8n_workflows
    assert nodes_of(workflow)["Sheet"] == sheet
    code = nodes_of(workflow)["Email Sender: collect"]["parameters"]["jsCode"]
    assert ('"sheet_0"' in code, '"sheet_1"' in code) == (True, True)


def test_a_second_output_of_a_node_before_has_a_name_of_its_own() -> None:
    rule = {"conditions": {"combinator": "and", "conditions": [], "options": {"version": 2}}}
    taken = node("Which (output 2)", "redis")
    connections = {"Which": connections_to("Sheet", "Which (output 2)"), "Sheet": connections_to("Which (output 2)")}
    (workflow,) = bridged(export(node("Which", "if", rule), SHEET, taken, connections=connections)).n8n_workflows
    names = [entry["name"] for entry in workflow["nodes"]]
    assert len(names) == len(set(names))
    assert {"Which", "Which (output 2)", "Which (output 2)'"} <= set(names)


def test_a_node_that_handles_its_errors_keeps_doing_so() -> None:
    sheet = SHEET | {"onError": "continueRegularOutput"}
    (workflow,) = bridged(export(sheet, SET)).n8n_workflows
    assert nodes_of(workflow)["Sheet"] == sheet
    assert workflow["connections"]["Sheet"]["main"] == []


def test_nodes_whose_items_are_only_read_are_given_too() -> None:
    redis = node("Tell", "redis", {"text": "={{ $('People').first().json.name }}"})
    (workflow,) = bridged(export(SET, redis)).n8n_workflows
    names = [target["node"] for target in workflow["connections"]["Email Sender: webhook"]["main"][0]]
    assert set(names) == {"Names", "People", "Email Sender: collect"}
    assert workflow["connections"]["People"]["main"] == [[]]


def test_items_of_nodes_that_do_not_lead_to_a_node_are_those_in_their_place() -> None:
    text = "={{ $('People').item.json.name }} {{ $('Names').item.json.of }} {{ $('People').itemMatching(0).json.name }}"
    (workflow,) = bridged(export(SET, node("Tell", "redis", {"text": text}))).n8n_workflows
    assert nodes_of(workflow)["Tell"]["parameters"]["text"] == (
        "={{ $('People').all()[$itemIndex].json.name }} {{ $('Names').item.json.of }} "
        "{{ $('People').itemMatching(0).json.name }}"
    )


def test_nodes_that_only_a_tool_reads_are_given_too() -> None:
    raw = export(SET, node("Agent", "agent"))
    raw["nodes"].append(node("Tool", "airtopTool", {"description": "={{ $('People').item.json.name }}"}))
    raw["connections"]["Tool"] = {"ai_tool": [[{"node": "Agent", "type": "ai_tool", "index": 0}]]}
    (workflow,) = bridged(raw).n8n_workflows
    assert "People" in nodes_of(workflow)
    assert nodes_of(workflow)["Tool"]["parameters"]["description"] == "={{ $('People').all()[$itemIndex].json.name }}"


def test_a_node_that_responds_to_a_caller_passes_its_items_on() -> None:
    respond, large = node("Respond", "respondToWebhook"), node("Large", "code", {"jsCode": f"// {'x' * 300_000}"})
    (workflow,) = bridged(export(large, respond)).n8n_workflows
    assert nodes_of(workflow)["Respond"]["type"] == "n8n-nodes-base.noOp"


def test_a_workflow_that_is_too_large_for_a_definition_stays_in_n8n_whole() -> None:
    code = node("Large", "code", {"jsCode": f"// {'x' * 300_000}\nreturn $input.all()"})
    result = bridged(export(code))
    assert outcomes(result) == {"Start": "exact", "People": "bridged", "Large": "bridged"}


def test_without_a_bridge_nothing_is_for_n8n() -> None:
    result = import_n8n(export(SHEET), EXPRESSIONS)
    assert (list(result.n8n_workflows), outcomes(result)["Sheet"]) == ([], "unsupported")


@pytest.mark.parametrize("name", ["{% $x %}", "Rate %}", 'a "quoted" name', "line\nbreak", "Ünïcode"])
def test_names_of_nodes_are_texts_everywhere(name: str) -> None:
    raw = export(node(name, "noOp"), SHEET)
    (workflow,) = bridged(raw).n8n_workflows
    assert name in nodes_of(workflow)
