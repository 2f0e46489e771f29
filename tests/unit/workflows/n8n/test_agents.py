"""Tests for agents and chains with the nodes that belong to them."""

import json
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


PASSAGES = [
    {"text": "Ada is 36.", "metadata": {"id": "1"}, "score": 0.9},
    {"text": "Bob is 7.", "metadata": {"id": "2"}, "score": 0.5},
]


@pytest.mark.parametrize(("version", "expected"), [(1.4, {"response": {"text": "36"}}), (1.5, {"response": "36"})])
def test_a_question_is_answered_with_what_a_search_finds(version: float, expected: Any) -> None:
    parameters = {
        "promptType": "define",
        "text": "=How old is {{ $json.name }}?",
        "options": {"systemPromptTemplate": "Read: {context}"},
    }
    ask = node("Agent", "chainRetrievalQa", parameters, executeOnce=True) | {"typeVersion": version}
    raw = with_belonging(export(ask, KEEP), ("ai_retriever", node("Retriever", "retrieverVectorStore", {"topK": 2})))
    requests: list[Mapping[str, Any]] = []

    def respond(request: Mapping[str, Any]) -> dict[str, Any]:
        requests.append(request)
        return {"passages": PASSAGES} if "search" in request else {"text": "36", "data": None, "calls": []}

    outcome = run(raw, answer_request=respond)
    assert items_in(outcome, "keep") == [expected]
    search, asked = requests
    assert search == {"search": {"collection": "message_vectors", "text": "How old is Ada?", "limit": 2}}
    assert asked["system"] == "Read: the passages below"
    assert asked["turns"][0]["text"] == "How old is Ada?\n\nPassages:\nAda is 36.\n---\nBob is 7."
    entry = next(entry for entry in import_and_parse(raw).report if entry.node == "Agent")
    assert "replace it with your collection" in entry.notes[-1]


def test_a_vector_store_loads_what_a_text_finds() -> None:
    store = node("Store", "vectorStorePinecone", {"mode": "load", "prompt": "={{ $json.name }}", "topK": 3})
    raw = export(store, KEEP)
    outcome = run(raw, answer_request=lambda _request: {"passages": PASSAGES[:1]})
    expected = {"document": {"metadata": {"id": "1"}, "pageContent": "Ada is 36."}, "score": 0.9}
    assert items_in(outcome, "keep") == [expected] * 2
    assert conversions(raw)["Store"] == "approximated"
    assert conversions(export(node("Store", "vectorStorePinecone", {"mode": "load"})))["Store"] == "unsupported"
    assert conversions(export(node("Store", "vectorStorePinecone", {"mode": "update"})))["Store"] == "unsupported"


CALLED = {"value": "x", "cachedResultName": "Other"}
MAPPED = {"who": "={{ $fromAI('input') }}", "of": "={{ $json.name }}"}


@pytest.mark.parametrize(
    ("kind", "parameters", "asked", "told"),
    [
        (
            "toolWorkflow",
            {"workflowId": CALLED},
            {"call": {"workflow": "Other", "inputs": {"query": "q"}}},
            '[{"age":36}]',
        ),
        (
            "toolWorkflow",
            {"workflowId": {"value": "={{ $workflow.id }}"}, "workflowInputs": {"value": MAPPED}},
            {"call": {"workflow": "sample", "inputs": {"who": "q", "of": "Ada"}}},
            '[{"age":36}]',
        ),
        (
            "vectorStoreQdrant",
            {"mode": "retrieve-as-tool", "toolName": "manual", "topK": 5},
            {"search": {"collection": "message_vectors", "text": "q", "limit": 5}},
            '[{"pageContent":"Ada is 36.","metadata":{"id":"1"}}]',
        ),
        (
            "toolVectorStore",
            {"description": "people"},
            {"search": {"collection": "message_vectors", "text": "q", "limit": 4}},
            "<answer>",
        ),
    ],
)
def test_tools_call_workflows_and_search(kind: str, parameters: dict[str, Any], asked: Any, told: str) -> None:
    tool = node("Tool", kind, parameters) | {"typeVersion": 2.2}
    raw = with_belonging(export(AGENT | {"executeOnce": True}, KEEP), ("ai_tool", tool))
    requests: list[Mapping[str, Any]] = []

    def respond(request: Mapping[str, Any]) -> dict[str, Any]:
        requests.append(request)
        if "search" in request:
            return {"passages": PASSAGES[:1]}
        if "call" in request:
            return {"items": [{"age": 36}]}
        if not request.get("tools"):
            return {"text": "<answer>", "data": None, "calls": []}
        if request["turns"][-1]["role"] == "tool":
            return {"text": request["turns"][-1]["text"], "data": None, "calls": []}
        name = request["tools"][0]["name"]
        return {"text": "", "calls": [{"id": "c", "name": name, "arguments": '{"input": "q"}'}]}

    outcome = run(raw, answer_request=respond)
    assert items_in(outcome, "keep") == [{"output": told}]
    assert asked in requests
    assert conversions(raw)["Agent"] == "approximated"


@pytest.mark.parametrize(
    ("kind", "parameters", "html"),
    [
        (
            "gmailTool",
            {"sendTo": "={{ $fromAI('to') }}", "message": "={{ $fromAI('text') }}", "emailType": "text"},
            "1 &lt; 2<br>\nBye",
        ),
        ("gmailTool", {"sendTo": "={{ $fromAI('to') }}", "message": "={{ $fromAI('text') }}"}, "1 < 2\nBye"),
        (
            "emailSendTool",
            {"toEmail": "={{ $fromAI('to') }}", "emailFormat": "text", "text": "={{ $fromAI('text') }}"},
            "1 &lt; 2<br>\nBye",
        ),
    ],
)
def test_mail_that_an_agent_writes_waits_for_a_person(kind: str, parameters: dict[str, Any], html: str) -> None:
    tool = node("Write", kind, parameters | {"subject": "=About {{ $json.name }}"}) | {"typeVersion": 2.1}
    raw = with_belonging(export(AGENT | {"executeOnce": True}, KEEP), ("ai_tool", tool))
    arguments = {"to": "Ann <ann@people.example>, bob@people.example", "text": "1 < 2\nBye"}

    def respond(request: Mapping[str, Any]) -> dict[str, Any]:
        said = request["turns"][-1]
        if said["role"] == "tool":
            return {"text": said["text"], "data": None, "calls": []}
        return {"text": "", "calls": [{"id": "c", "name": "Write", "arguments": json.dumps(arguments)}]}

    calls: list[Any] = []

    def act(call: dict[str, Any]) -> Any:
        calls.append(call)
        if call["action"] == "template.render":
            return {"draft_id": call["with"]["contact"]}
        return {"decision": "approved"} if call["action"] == "approval" else call["with"]

    outcome = run(raw, act, answer_request=respond)
    assert outcome.status == "SUCCEEDED", outcome
    assert items_in(outcome, "keep") == [{"output": '[{"status":"written: it is sent when a person has approved it"}]'}]
    drafts = [call["with"] for call in calls if call["action"] == "template.render"]
    assert [draft["contact"] for draft in drafts] == ["Ann <ann@people.example>", "bob@people.example"]
    assert drafts[0]["variables"] == {"subject": "About Ada", "text": "1 < 2\nBye", "html": html}
    (approval,) = [call["with"] for call in calls if call["action"] == "approval"]
    assert approval["title"] == "Mail of Write"
    sent = [call["with"]["draft"] for call in calls if call["action"] == "email.send"]
    assert sent == [draft["contact"] for draft in drafts]
    result = import_and_parse(raw)
    assert [template["name"] for template in result.templates] == ["n8n html"]
    assert any("a draft that a person approves" in note for entry in result.report for note in entry.notes)


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("1/3", "0.333333333333333"),
        ("2(3+4)^2", "98"),
        # The library that n8n has reads 1e3 as the product of 1, Euler's number and 3.
        ("1e3", "1000"),
        ("2.5E-3 * 4", "0.01"),
        ("1.2193263113362292e+21 / 1e21", "1.219326311336229"),
        ("ln(e)", "1"),
        ("2e", "5.43656365691809"),
        ("how much?", "I don't know how to do that."),
    ],
)
def test_an_agent_calculates(expression: str, result: str) -> None:
    raw = with_belonging(export(AGENT | {"executeOnce": True}, KEEP), ("ai_tool", node("Calc", "toolCalculator")))

    def respond(request: Mapping[str, Any]) -> dict[str, Any]:
        said = request["turns"][-1]
        if said["role"] == "tool":
            return {"text": said["text"], "data": None, "calls": []}
        return {"text": "", "calls": [{"id": "c", "name": "Calc", "arguments": json.dumps({"input": expression})}]}

    assert items_in(run(raw, answer_request=respond), "keep") == [{"output": result}]


def test_an_agent_that_writes_no_mail_asks_nobody() -> None:
    tool = node("Write", "gmailTool", {"sendTo": "={{ $fromAI('to') }}", "message": "Hello"}) | {"typeVersion": 2.1}
    calls: list[str] = []

    def act(call: dict[str, Any]) -> Any:
        calls.append(call["action"])
        return call["with"]

    def respond(request: Mapping[str, Any]) -> dict[str, Any]:
        said = request["turns"][-1]
        if said["role"] == "tool":
            assert said["text"] == '[{"error":"The email has no address."}]'
            return {"text": "No.", "data": None, "calls": []}
        return {"text": "", "calls": [{"id": "c", "name": "Write", "arguments": "{}"}]}

    outcome = run(with_belonging(export(AGENT, KEEP), ("ai_tool", tool)), act, answer_request=respond)
    assert items_in(outcome, "keep") == [{"output": "No."}] * 2
    assert set(calls) <= {"transform"}


@pytest.mark.parametrize(
    ("parameters", "arguments", "sent", "told"),
    [
        (
            {"url": "https://x.example/{id}?q={q}"},
            {"id": "a b", "q": "ä&"},
            ("https://x.example/a%20b?q=%C3%A4&", None),
            '{\n  "age": 36\n}',
        ),
        (
            {"url": "https://x.example/", "method": "POST", "sendBody": True, "specifyBody": "json",
             "jsonBody": '{"said": "so: {s}", "n": {n}, "o": {o}}'},
            {"s": 'a "b"', "n": 4, "o": {"x": 1}},
            ("https://x.example/", {"said": 'so: a "b"', "n": 4, "o": {"x": 1}}),
            '{\n  "age": 36\n}',
        ),
        (
            {"url": "https://x.example/", "optimizeResponse": True, "dataField": "age"},
            {},
            ("https://x.example/", None),
            "36",
        ),
    ],
)  # fmt: skip
def test_a_tool_sends_a_request_in_which_the_model_fills_places_in(
    parameters: dict[str, Any], arguments: dict[str, Any], sent: tuple[str, Any], told: str
) -> None:
    tool = node("Ask", "toolHttpRequest", parameters) | {"typeVersion": 1.1}
    raw = with_belonging(export(AGENT | {"executeOnce": True}, KEEP), ("ai_tool", tool))
    requests: list[Mapping[str, Any]] = []

    def respond(request: Mapping[str, Any]) -> dict[str, Any]:
        if "url" in request:
            requests.append(request)
            return {"age": 36}
        said = request["turns"][-1]
        if said["role"] == "tool":
            return {"text": said["text"], "data": None, "calls": []}
        return {"text": "", "calls": [{"id": "c", "name": "Ask", "arguments": json.dumps(arguments)}]}

    assert items_in(run(raw, answer_request=respond), "keep") == [{"output": told}]
    (request,) = requests
    assert (request["url"], json.loads(request["body"]) if "body" in request else None) == sent


def test_a_called_workflow_and_a_searched_collection_are_named() -> None:
    call = node("Call", "toolWorkflow", {"workflowId": CALLED})
    store = node("Store", "vectorStoreMilvus", {"mode": "retrieve-as-tool"})
    result = import_n8n(with_belonging(export(AGENT), ("ai_tool", call), ("ai_tool", store)), EXPRESSIONS)
    notes = next(entry for entry in result.report if entry.node == "Agent").notes
    assert "Call: import the workflow 'Other' too; the workflow that it calls may take some minutes" in notes
    assert any(note.startswith("Store: searches the collection message_vectors") for note in notes)


@pytest.mark.parametrize(
    ("kind", "belonging", "reason"),
    [
        ("ai_tool", node("Tool", "airtopTool"), "its tool 'Tool' (airtopTool) cannot run here"),
        ("ai_tool", node("Tool", "gmailTool", {"operation": "reply"}), "a person approves each mail here"),
        ("ai_tool", node("Tool", "gmailTool", {"options": {"attachmentsUi": {"x": 1}}}), "mail with files"),
        ("ai_tool", node("Tool", "toolCode", {"language": "python"}), "it is not JavaScript"),
        ("ai_tool", node("Tool", "slackTool", {"resource": "nothing"}), "its resource 'nothing' is not supported"),
        ("ai_memory", node("Memory", "memoryZep"), "its memory 'Memory' (memoryZep) is not supported"),
        ("ai_outputParser", node("Parser", "outputParserOther"), "its parser 'Parser'"),
        ("ai_tool", node("Tool", "toolWorkflow", {"workflowId": "={{ $json.id }}"}), "must have a fixed name"),
        ("ai_tool", node("Tool", "toolWorkflow", {"source": "parameter"}), "must have a fixed name"),
        ("ai_tool", node("Tool", "vectorStoreQdrant", {"mode": "load"}), "no step does what it does"),
        ("ai_retriever", node("Retriever", "retrieverOther"), "its retriever 'Retriever'"),
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
