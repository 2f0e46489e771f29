"""Imported n8n workflows that send mail, call other systems, or ask a model or a person, on the deployed template.

This machine has no public address: what services answer is tested with recorded answers in tests/n8n.
"""

import itertools
import json
from contextlib import suppress
from email import message_from_bytes, policy
from typing import Any
from uuid import uuid4

import pytest

from local.client import ApiClient, ApiError, wait_until
from tests.conftest import TEXT_MODEL_PORT, Platform
from tests.e2e import api
from tests.fakes import mailboxes
from tests.fakes.text_model import serve_text_model


def export(*nodes: dict[str, Any]) -> dict[str, Any]:
    start = {"name": "Start", "type": "n8n-nodes-base.manualTrigger", "typeVersion": 1, "parameters": {}}
    row = [start, *nodes]
    connections = {
        source["name"]: {"main": [[{"node": target["name"], "type": "main", "index": 0}]]}
        for source, target in itertools.pairwise(row)
    }
    settings = {"executionOrder": "v1"}
    return {"name": f"n8n-{uuid4().hex}", "nodes": row, "connections": connections, "settings": settings}


def node(name: str, kind: str, version: float, parameters: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "type": f"n8n-nodes-base.{kind}", "typeVersion": version, "parameters": parameters}


def test_a_node_that_sends_mail_waits_for_an_approval_and_sends_to_each_address(platform: Platform) -> None:
    admin = platform["admin@acme"]
    first, second = (f"{uuid4().hex}@people.example" for _ in range(2))
    send = node(
        "Tell them",
        "gmail",
        2.1,
        {
            "sendTo": f"={{{{ $json.to }}}}, Bo <{second}>",
            "subject": "=News for {{ $json.name }}",
            "message": "=<p>Dear {{ $json.name }} &amp; co,</p><p>all is <b>well</b>.</p>",
        },
    )
    imported = admin.post("/workflows/import", {"workflow": export(send)})
    assert [(entry["node"], entry["how"]) for entry in imported["report"]] == [
        ("Start", "exact"),
        ("Tell them", "approximated"),
    ]
    with pytest.raises(ApiError, match="no template 'n8n html'"):
        admin.post("/workflows", {"definition": imported["definition"]})
    for template in imported["templates"]:
        admin.post("/templates", template)
    run = api.start_run(admin, imported["definition"], {"to": f"Ann <{first}>", "name": "Ann"})
    approval = api.wait_for_approval(admin, run["id"])
    assert len(approval["drafts"]) == 2
    assert api.emails_of(admin, run["id"]) == []
    api.decide(admin, run["id"], "approved")
    assert api.wait_for_run(admin, run["id"])["status"] == "succeeded"
    emails = api.emails_of(admin, run["id"])
    assert len(emails) == 2
    mails = [message_from_bytes(api.sent_mails(platform, email["id"])[0], policy=policy.default) for email in emails]
    assert sorted(mail["to"].addresses[0].addr_spec for mail in mails) == sorted([first, second])
    assert {mail["subject"] for mail in mails} == {"News for Ann"}
    text, html = (mails[0].get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    assert "Dear Ann & co,\n\nall is well." in text.get_content().replace("\r\n", "\n")
    assert "<b>well</b>" in html.get_content()
    # A second run uses the contacts that the first one added.
    again = api.start_run(admin, imported["definition"] | {"name": f"again-{uuid4().hex}"}, {"to": first, "name": "A"})
    api.wait_for_approval(admin, again["id"])
    drafts = [
        step["result"] for step in admin.get(f"/runs/{again['id']}")["steps"] if step["action"] == "template.render"
    ]
    assert {draft["contact_id"] for draft in drafts} == {email["contact_id"] for email in emails}
    api.decide(admin, again["id"], "denied")
    assert api.wait_for_run(admin, again["id"])["status"] == "succeeded"
    assert api.emails_of(admin, again["id"]) == []


@pytest.mark.parametrize(
    ("kind", "version", "parameters", "message"),
    [
        ("httpRequest", 4.2, {"url": "https://10.1.2.3/"}, "10.1.2.3 is not a public address."),
        ("telegram", 1.2, {"chatId": "1", "text": "x"}, "The secret telegramapi does not exist."),
        ("httpRequest", 4.2, {"url": "ftp://example.com/"}, "Invalid URL: ftp://example.com/."),
    ],
)
def test_a_node_that_cannot_send_says_why(
    platform: Platform, kind: str, version: float, parameters: dict[str, Any], message: str
) -> None:
    admin = platform["admin@acme"]
    imported = admin.post("/workflows/import", {"workflow": export(node("Ask", kind, version, parameters))})
    run = api.start_run(admin, imported["definition"])
    ended_run = api.wait_for_run(admin, run["id"])
    assert ended_run["status"] == "failed"
    assert f"The node 'Ask' failed: {message}" in ended_run["error"]["message"]


def test_a_workflow_can_go_on_after_a_request_that_failed(platform: Platform) -> None:
    admin = platform["admin@acme"]
    ask = node("Ask", "httpRequest", 4.2, {"url": "https://10.1.2.3/"}) | {"onError": "continueRegularOutput"}
    shape = node("Shape", "set", 3.4, {"assignments": {"assignments": [
        {"name": "said", "value": "={{ $json.error.message }}", "type": "string"}]}})  # fmt: skip
    imported = admin.post("/workflows/import", {"workflow": export(ask, shape)})
    run = api.start_run(admin, imported["definition"])
    assert api.wait_for_run(admin, run["id"])["status"] == "succeeded"
    (step,) = (step for step in admin.get(f"/runs/{run['id']}")["steps"] if step["step"] == "ask")
    assert step["result"]["items"]["shape_0"] == [{"said": "10.1.2.3 is not a public address."}]


def test_many_items_go_from_step_to_step_and_are_read_by_the_page(platform: Platform) -> None:
    """They have 3 MB: more than a state machine passes on, and more than a page shows."""
    admin = platform["admin@acme"]
    many = "Array.from({length: 20_000}, (_, n) => ({n, email: `ann.${n}@people.example`, note: 'x'.repeat(80)}))"
    make = node("Make", "code", 2, {"jsCode": f"return {many}.map(json => ({{json}}))"})
    pause = node("Pause", "wait", 1.1, {"amount": 1})
    both = "{count: $input.all().length, last: $('Make').last().json.email}"
    count = node("Count", "code", 2, {"jsCode": f"return [{{json: {both}}}]"})
    imported = admin.post("/workflows/import", {"workflow": export(make, pause, count)})
    run = api.start_run(admin, imported["definition"])
    ended_run = api.wait_for_run(admin, run["id"])
    assert ended_run["status"] == "succeeded", ended_run["error"]
    results = {step["step"]: step["result"] for step in ended_run["steps"] if step["action"] == "n8n.node"}
    assert results["count"]["items"] == {"count_0": [{"count": 20_000, "last": "ann.19999@people.example"}]}
    stored = results["make"]["items"]["make_0"]
    assert stored["count"] == 20_000
    path = f"/runs/{run['id']}/items/{stored['stored_items']}"
    page = admin.get(path, limit=200, cursor="19900")
    assert [item["n"] for item in page["items"]] == list(range(19_900, 20_000))
    assert page["next_cursor"] is None
    assert admin.get(path)["next_cursor"] == "50"
    assert "people.example" not in json.dumps(platform["readonly@acme"].get(path))
    unknown = (f"/runs/{run['id']}/items/{uuid4()}", f"/runs/{uuid4()}/items/{stored['stored_items']}")
    for client, wrong in ((platform["admin@globex"], path), *((admin, one) for one in unknown)):
        with pytest.raises(ApiError, match="404"):
            client.get(wrong)
    with pytest.raises(ApiError, match="Invalid cursor"):
        admin.get(path, cursor="-1")


def test_a_model_chooses_the_branch_and_a_person_approves(platform: Platform) -> None:
    admin = platform["admin@acme"]
    categories = [{"category": "Question", "description": "wants an answer"}, {"category": "Other"}]
    sort = node(
        "Sort", "textClassifier", 1, {"inputText": "={{ $json.text }}", "categories": {"categories": categories}}
    )
    raw = export(
        node("Mails", "splitOut", 1, {"fieldToSplitOut": "mails"}),
        sort | {"type": "@n8n/n8n-nodes-langchain.textClassifier"},
        node("Ask", "slack", 2.3, {"operation": "sendAndWait", "message": "=Answer {{ $json.text }}"}),
        node("Asked", "noOp", 1, {}),
        node("Rest", "noOp", 1, {}),
    )
    raw["connections"] |= {
        "Sort": {"main": [[{"node": name, "type": "main", "index": 0}] for name in ("Ask", "Rest")]},
        "Asked": {"main": []},
    }
    imported = admin.post("/workflows/import", {"workflow": raw})
    assert {entry["how"] for entry in imported["report"]} == {"exact", "approximated"}
    mails = [{"text": "What does it cost?"}, {"text": "News of May"}]

    def category_of(text: str) -> str:
        return json.dumps({"category": "Question" if "cost" in text else "Other"})

    with serve_text_model(category_of, TEXT_MODEL_PORT) as model:
        run = api.start_run(admin, imported["definition"], {"mails": mails})
        approval = api.wait_for_approval(admin, run["id"])
    assert len(model.requests) == 2
    assert approval["title"] == "Answer What does it cost?"
    api.decide(admin, run["id"], "approved")
    ended = api.wait_for_run(admin, run["id"])
    assert ended["status"] == "succeeded", ended["error"]
    items = {step["step"]: step["result"]["items"] for step in ended["steps"] if step["step"] in ("asked", "rest")}
    assert items["asked"] == {"asked_0": [{"data": {"approved": True}}]}
    assert items["rest"] == {"rest_0": [{"text": "News of May"}]}


def test_a_mail_that_arrives_is_answered_below_it_after_an_approval(platform: Platform) -> None:
    admin = platform["admin@acme"]
    reply = {"operation": "reply", "messageId": "={{ $json.id }}", "emailType": "text",
             "message": "=You asked: {{ $json.Subject }}. {{ $json.From }}, it costs 5 EUR."}  # fmt: skip
    raw = export(node("Mailbox", "gmailTrigger", 1.2, {}), node("Reply", "gmail", 2.1, reply))
    raw["nodes"] = raw["nodes"][1:]
    raw["connections"].pop("Start")
    imported = admin.post("/workflows/import", {"workflow": raw})
    for template in imported["templates"]:
        with suppress(ApiError):  # It is there already.
            admin.post("/templates", template)
    workflow = admin.post("/workflows", {"definition": imported["definition"]})
    (tenant,) = platform.query("select mail_from from email_sender.tenants where name = 'acme'")
    writer = f"{uuid4().hex}@people.example"
    raw_mail = api.reply_mail(f"Ann <{writer}>", tenant["mail_from"], "none")
    try:
        api.deliver_inbound_mail(platform, raw_mail)
        (contact,) = wait_until(lambda: admin.get("/contacts", email=writer)["items"], bool, 60)
        run = wait_until(lambda: run_that_answers(admin, workflow["id"], contact["id"]), bool, 60)
    finally:
        admin.http.delete(f"/workflows/{workflow['id']}").raise_for_status()
    approval = api.wait_for_approval(admin, run["id"])
    draft = admin.get(f"/drafts/{approval['drafts'][0]['draft_id']}")
    (message,) = admin.get("/messages", id=draft["evidence"])["items"]
    assert message["subject"] == "Re: hello", "the approver sees the mail"
    assert f"You asked: Re: hello. Ann <{writer}>, it costs 5 EUR." in draft["text"]
    api.decide(admin, run["id"], "approved")
    ended = api.wait_for_run(admin, run["id"])
    assert ended["status"] == "succeeded", ended["error"]
    (email,) = api.emails_of(admin, run["id"])
    (mail,) = api.sent_mails(platform, email["id"])
    sent, received = (message_from_bytes(one, policy=policy.default) for one in (mail, raw_mail))
    assert (sent["In-Reply-To"], sent["Subject"]) == (received["Message-ID"], "Re: hello")
    assert writer in sent["To"]


def run_that_answers(client: ApiClient, workflow_id: str, contact_id: str) -> Any:
    """Return the run of the contact's mail: other mail of the tenant starts runs, too."""
    runs = client.get(f"/workflows/{workflow_id}/runs", limit=50)["items"]
    return next((run for run in runs if run["inputs"]["event"]["data"]["contact_id"] == contact_id), None)


def test_a_workflow_gets_the_items_of_the_one_that_it_calls(platform: Platform) -> None:
    admin = platform["admin@acme"]
    many = "return Array.from({length: 200}, (_, n) => ({json: {n, for: $json.name, pad: 'x'.repeat(50)}}))"
    called = export(node("Make", "code", 2, {"jsCode": many}))
    called["nodes"][0]["type"] = "n8n-nodes-base.executeWorkflowTrigger"
    admin.post("/workflows", {"definition": admin.post("/workflows/import", {"workflow": called})["definition"]})
    people = node("People", "code", 2, {"jsCode": "return ['Ann', 'Bo'].map(name => ({json: {name}}))"})
    target = {"workflowId": {"value": "x", "cachedResultName": called["name"]}}
    sums = "return [{json: {count: $input.all().length, last: $input.last().json.for}}]"

    def results_of(mode: str) -> dict[str, Any]:
        call = node("Call", "executeWorkflow", 1.2, {**target, "mode": mode})
        workflow = export(people, call, node("Sum", "code", 2, {"jsCode": sums}))
        imported = admin.post("/workflows/import", {"workflow": workflow})
        ended = api.wait_for_run(admin, api.start_run(admin, imported["definition"])["id"])
        assert ended["status"] == "succeeded", ended["error"]
        return {step["step"]: step["result"] for step in ended["steps"] if step["action"] == "n8n.node"}

    each = results_of("each")
    assert each["sum"]["items"]["sum_0"] == [{"count": 400, "last": "Bo"}]
    # The items that the called runs stored are not those of this run, which stored them again.
    assert each["call-items"]["items"]["out_0"]["count"] == 400
    # One run gets both people, and its code runs once, for the first.
    assert results_of("once")["sum"]["items"]["sum_0"] == [{"count": 200, "last": "Ann"}]


def test_an_agent_searches_calls_a_workflow_and_remembers(platform: Platform) -> None:
    admin, word = platform["admin@acme"], uuid4().hex
    api.import_mailbox(admin, mailboxes.mbox([mailboxes.message(f"The harp of {word} needs new strings.\n".encode())]))
    called = export(node("Shape", "set", 3.4, {"assignments": {"assignments": [
        {"name": "price", "value": "=5 EUR for {{ $json.query }}", "type": "string"}]}}))  # fmt: skip
    admin.post("/workflows", {"definition": admin.post("/workflows/import", {"workflow": called})["definition"]})
    langchain = "@n8n/n8n-nodes-langchain."
    agent = node("Agent", "agent", 2.2, {"promptType": "define", "text": "={{ $json.text }}"})
    store = {"mode": "retrieve-as-tool", "toolName": "archive", "toolDescription": "What people wrote.", "topK": 3}
    belonging = {
        "ai_tool": [
            node("archive", "vectorStoreQdrant", 1.3, store),
            node("prices", "toolWorkflow", 2.2, {"workflowId": {"value": "x", "cachedResultName": called["name"]}}),
        ],
        "ai_memory": [node("Memory", "memoryBufferWindow", 1.3, {"sessionIdType": "customKey", "sessionKey": word})],
    }
    raw = export(agent | {"type": f"{langchain}agent"})
    for kind, nodes in belonging.items():
        for one in nodes:
            raw["nodes"].append(one | {"type": langchain + one["type"].rpartition(".")[2]})
            raw["connections"][one["name"]] = {kind: [[{"node": "Agent", "type": kind, "index": 0}]]}
    imported = admin.post("/workflows/import", {"workflow": raw})
    assert {entry["how"] for entry in imported["report"]} == {"exact", "approximated", "dropped"}
    workflow = admin.post("/workflows", {"definition": imported["definition"]})
    answers: list[str | list[tuple[str, str, str]]] = [
        [("1", "archive", json.dumps({"input": f"Whose harp of {word} needs strings?"})),
         ("2", "prices", json.dumps({"input": "strings"}))],
        "They cost 5 EUR.",
        "You asked before.",
    ]  # fmt: skip

    def answer(_text: str) -> Any:
        given = answers.pop(0)
        return given if isinstance(given, str) else ("", given)

    with serve_text_model(answer, TEXT_MODEL_PORT) as model:
        outputs = []
        for text in ("What do strings cost?", "Again?"):
            run = admin.post(f"/workflows/{workflow['id']}/execute", {"inputs": {"text": text}})
            ended = api.wait_for_run(admin, run["id"])
            assert ended["status"] == "succeeded", ended["error"]
            outputs += [step["result"]["items"]["agent_0"] for step in ended["steps"] if step["step"] == "agent"]
    assert outputs == [[{"output": "They cost 5 EUR."}], [{"output": "You asked before."}]]
    first, second, third = (request["messages"] for request in model.requests)
    assert first == [{"role": "user", "content": "What do strings cost?"}]
    found, price = (message["content"] for message in second if message["role"] == "tool")
    assert f"The harp of {word} needs new strings." in found
    assert json.loads(price) == [{"price": "5 EUR for strings"}]
    assert [message["content"] for message in third] == ["What do strings cost?", "They cost 5 EUR.", "Again?"]
