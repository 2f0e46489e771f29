"""Tests for agents and chains with the nodes that belong to them."""

from collections.abc import Mapping
from typing import Any

import pytest

from email_sender.workflows.n8n.importer import import_n8n
from tests.unit.workflows.n8n.samples import EXPRESSIONS, conversions, export, import_and_parse, items_in, node, run

AGENT = node("Agent", "agent", {"promptType": "define", "text": "=Who is {{ $json.name }}?"}) | {"typeVersion": 2.2}
KEEP = node("Keep", "limit", {"maxItems": 9})


def with_belonging(raw: dict[str, Any], *belonging: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    for kind, one in belonging:
        raw["nodes"].append(one)
        raw["connections"][one["name"]] = {kind: [[{"node": "Agent", "type": kind, "index": 0}]]}
    return raw


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    if "turns" not in request:
        return {"age": 36}
    said = request["turns"][-1]
    if request.get("tools") and said["role"] == "user":
        return {"text": "", "calls": [{"id": "c", "name": request["tools"][0]["name"], "arguments": '{"who": "x"}'}]}
    return {"text": f"<{request['system']}|{said['text']}>", "data": None, "calls": []}


def test_an_agent_and_its_tool_are_one_step_with_the_nodes_around() -> None:
    parameters = {"url": "=https://crm.example.com/{{ $fromAI('who') }}/{{ $('People').item.json.age }}"}
    tool = node("Look up", "httpRequestTool", parameters) | {"typeVersion": 4.2}
    model = node("Model", "lmChatOpenAi", {"options": {"temperature": 0.2}})
    raw = with_belonging(export(AGENT, KEEP), ("ai_tool", tool), ("ai_languageModel", model))
    urls: list[str] = []

    def respond(request: Mapping[str, Any]) -> dict[str, Any]:
        urls.extend([request["url"]] if "url" in request else [])
        return answer(request)

    outcome = run(raw, answer_request=respond)
    assert items_in(outcome, "keep") == [{"output": '<|[{"age":36}]>'}] * 2
    assert urls == ["https://crm.example.com/x/36", "https://crm.example.com/x/7"]
    result = import_and_parse(raw)
    assert [step["uses"] for step in result.definition["steps"]] == ["transform", "n8n.node"]
    entry = next(entry for entry in result.report if entry.node == "Agent")
    assert entry.outcome == "approximated"
    assert entry.notes == ["it uses the deployment's text model, not the one that it names"]


def test_a_chain_asks_with_its_messages() -> None:
    messages = {
        "messageValues": [
            {"message": "=Be short, {{ $json.name }}."},
            {"type": "AIMessagePromptTemplate", "message": "Yes?"},
        ]
    }
    parameters = {"promptType": "define", "text": "=Who is {{ $json.name }}?", "messages": messages}
    outcome = run(export(node("Ask", "chainLlm", parameters) | {"typeVersion": 1.7}, KEEP), answer_request=answer)
    assert items_in(outcome, "keep")[0] == {"text": "<Be short, Ada.|Who is Ada?>"}


def test_the_secrets_of_tools_are_named() -> None:
    sheet = {"resource": "sheet", "operation": "read", "documentId": "d", "sheetName": "s"}
    tool = node("Sheet", "googleSheetsTool", sheet) | {"typeVersion": 4.5}
    result = import_n8n(with_belonging(export(AGENT), ("ai_tool", tool)), EXPRESSIONS)
    entry = next(entry for entry in result.report if entry.node == "Agent")
    assert any(note.startswith("Sheet: its credentials become the tenant's secret") for note in entry.notes)


@pytest.mark.parametrize(
    ("kind", "belonging", "reason"),
    [
        ("ai_tool", node("Tool", "airtopTool"), "its tool 'Tool' (airtopTool) cannot run here"),
        ("ai_tool", node("Tool", "gmailTool", {"operation": "send"}), "a person approves each mail here"),
        ("ai_tool", node("Tool", "toolCode", {"language": "python"}), "it is not JavaScript"),
        ("ai_tool", node("Tool", "slackTool", {"resource": "nothing"}), "its resource 'nothing' is not supported"),
        ("ai_memory", node("Memory", "memoryZep"), "its memory 'Memory' (memoryZep) is not supported"),
        ("ai_outputParser", node("Parser", "outputParserOther"), "its parser 'Parser'"),
        ("ai_other", node("Thing", "thing"), "'Thing' (thing) is not supported"),
        ("ai_tool", node("Tool", "toolCode", {"{% x %}": 1}), "names that look like our expressions"),
    ],
)
def test_an_agent_that_lacks_what_belongs_to_it_fails_when_it_is_reached(
    kind: str, belonging: dict[str, Any], reason: str
) -> None:
    raw = with_belonging(export(AGENT), (kind, belonging))
    assert conversions(raw)["Agent"] == "unsupported"
    entry = next(entry for entry in import_and_parse(raw).report if entry.node == "Agent")
    assert reason in entry.notes[-1]
    assert run(raw).status == "FAILED"


def test_an_agent_of_another_kind_or_version_is_named() -> None:
    for changes, reason in (
        ({"typeVersion": 9}, "version 9 of this node is not supported"),
        ({"parameters": {"agent": "sqlAgent"}}, "an agent of the kind 'sqlAgent' is not supported"),
    ):
        entry = next(one for one in import_and_parse(export(AGENT | changes)).report if one.node == "Agent")
        assert reason in entry.notes[-1]


def test_a_tool_that_is_disabled_is_not_missed() -> None:
    tool = node("Tool", "airtopTool") | {"disabled": True}
    assert conversions(with_belonging(export(AGENT), ("ai_tool", tool)))["Agent"] == "approximated"
