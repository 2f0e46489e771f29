"""examples/workflows on the deployed template, while function processes are killed at random.

No run may be stuck, and no step may take effect twice.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import pytest

from local.client import ApiClient, ApiError, wait_until
from local.layout import ROOT
from tests.conftest import TEXT_MODEL_PORT, Platform
from tests.e2e import api
from tests.e2e.process_kills import kill_function_processes, random_kills
from tests.e2e.webhook_client import WebhookClient, list_triggers
from tests.fakes import mailboxes
from tests.fakes.text_model import TextModelServer, serve_text_model

pytestmark = [pytest.mark.kills]

EXAMPLES = ROOT / "examples/workflows"
TEMPLATE_PREFIX = f"examples-{uuid4().hex[:8]}"
VERDICT = {"topic": "complaint", "urgent": True}


def model_reply(text: str) -> str:
    return json.dumps(VERDICT) if "JSON Schema" in text else "They say that it works."


def retry_server_errors[T](call: Callable[[], T], seconds: float = 60) -> T:
    """Repeat a call that fails with a server error: AWS returns 500 if the process was killed during the call."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return call()
        except (ApiError, httpx.HTTPError) as error:
            status = getattr(getattr(error, "response", None), "status_code", 500)
            if status < 500 or time.monotonic() > deadline:
                raise
            time.sleep(0.3)


def example_definition(name: str, **changes: str) -> str:
    """Return the text of an example with unique workflow and template names, and with `changes` applied."""
    text = (EXAMPLES / f"{name}.yaml").read_text().replace(f"name: {name}\n", f"name: {name}-{uuid4().hex[:8]}\n")
    text = text.replace("{template: ", f"{{template: {TEMPLATE_PREFIX}-")
    for before, after in changes.items():
        assert before in text
        text = text.replace(before, after)
    return text


def start_run(client: ApiClient, text: str, inputs: api.Json) -> api.Json:
    key = uuid4().hex
    workflow = retry_server_errors(lambda: client.post("/workflows", {"definition": text}, key=key))
    return dict(
        retry_server_errors(lambda: client.post(f"/workflows/{workflow['id']}/execute", {"inputs": inputs}, key=key))
    )


def wait_until_ended(client: ApiClient, run_id: str, seconds: float = 120) -> api.Json:
    return wait_until(
        lambda: dict(retry_server_errors(lambda: client.get(f"/runs/{run_id}"))),
        lambda run: run["status"] in api.ENDED,
        seconds,
    )


def approve(client: ApiClient, run_id: str, step: str, seconds: float = 150) -> None:
    """Approve what a step asks for. A repeat after a kill waits for a lease and a delivery, 40 s at most."""

    def find_pending() -> list[api.Json]:
        approvals = retry_server_errors(lambda: client.get("/approvals", status="pending", limit=200))["items"]
        return [candidate for candidate in approvals if (candidate["run_id"], candidate["step"]) == (run_id, step)]

    try:
        (approval,) = wait_until(find_pending, lambda approvals: len(approvals) == 1, seconds)
    except TimeoutError:
        raise AssertionError(
            f"nothing to approve: {retry_server_errors(lambda: client.get(f'/runs/{run_id}'))}"
        ) from None
    retry_server_errors(lambda: client.post(f"/approvals/{approval['id']}", {"decision": "approved"}))


def step_results(run: api.Json, step: str) -> list[Any]:
    """Return a step's results in the order of its items; a run lists them in the order in which they started."""
    records = sorted(
        (record for record in run["steps"] if record["step"] == step), key=lambda record: record["item"] or 0
    )
    return [record["result"] for record in records]


@pytest.fixture(scope="module", autouse=True)
def templates(platform: Platform) -> None:
    for template in json.loads((EXAMPLES / "templates.json").read_text()):
        platform["user@acme"].post("/templates", {**template, "name": f"{TEMPLATE_PREFIX}-{template['name']}"})


@pytest.fixture(scope="module")
def model() -> Iterator[TextModelServer]:
    with serve_text_model(model_reply, TEXT_MODEL_PORT) as server:
        yield server


@dataclass
class ExamplesScenario:
    """The input of the examples, and the runs that they started."""

    topic: str
    reader: api.Json
    writer: str
    documents: list[api.Json]
    runs: dict[str, api.Json] = field(default_factory=dict)
    emails: list[Any] = field(default_factory=list)
    posted_run_ids: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def scenario(platform: Platform, model: TextModelServer) -> Iterator[ExamplesScenario]:
    """Run all four examples at once while function processes are killed."""
    admin, topic = platform["admin@acme"], uuid4().hex
    people = [mailboxes.message(f"We speak of {topic}.\n".encode()) for _ in range(3)]
    names = [(f"<{n}@{topic}>".encode(), f"<p{n}.{topic[:8]}@sender.example>".encode()) for n in range(3)]
    letters = [
        raw.replace(b"<one@sender.example>", name).replace(b"<ada@sender.example>", sender)
        for raw, (name, sender) in zip(people, names, strict=True)
    ]
    api.import_mailbox(admin, mailboxes.mbox(letters))
    keyword = uuid4().hex
    documents = [{"id": str(uuid4()), "title": f"Manual {n}", "text": f"{keyword} chapter {n}"} for n in range(3)]
    examples = ExamplesScenario(topic, api.add_contact(admin, "Rea Der"), f"{uuid4().hex}@people.example", documents)
    (tenant,) = platform.query("select mail_from from email_sender.tenants where name = 'acme'")
    triage = admin.post("/workflows", {"definition": example_definition("inbound-triage")})
    indexing = admin.post("/workflows", {"definition": example_definition("import-and-index")})
    webhook_client = WebhookClient(platform, admin, indexing)
    follow_up = example_definition("follow-up", **{"timeout: P4D": "timeout: PT60S"})
    with random_kills(platform, seed=int(os.environ.get("SEED", "1"))):
        follow_up_run = start_run(admin, follow_up, {"query": topic, "people": 3})
        report_run = start_run(
            admin, example_definition("weekly-report"), {"topic": topic, "reader": examples.reader["id"]}
        )
        for _ in range(2):
            posted_run = retry_server_errors(
                lambda: webhook_client.post({"documents": documents}, "msg_1").raise_for_status().json()
            )
            examples.posted_run_ids.append(posted_run["run_id"])
        approve(admin, follow_up_run["id"], "review")
        examples.emails = reply_to_emails(platform, follow_up_run["id"])
        api.deliver_inbound_mail(platform, api.reply_mail(f"Una <{examples.writer}>", tenant["mail_from"], "none"))
        triage_run = wait_until(lambda: triage_runs(admin, triage, examples.writer), lambda runs: len(runs) > 0, 200)[0]
        # Kill once more during the triage run. A queue redelivers an unfinished message after two minutes.
        kill_function_processes(platform)
        # The sweep ends the waits, up to a minute late.
        approve(admin, follow_up_run["id"], "review_reminders", seconds=200)
        started_runs = {"follow-up": follow_up_run, "weekly-report": report_run, "inbound-triage": triage_run}
        examples.runs = {name: wait_until_ended(admin, run["id"]) for name, run in started_runs.items()}
        examples.runs["import-and-index"] = wait_until_ended(admin, examples.posted_run_ids[0])
    examples.runs["read back"] = webhook_client.get(
        f"{webhook_client.trigger['path']}/runs/{examples.posted_run_ids[0]}"
    ).json()
    yield examples
    for run in examples.runs.values():
        if "workflow_id" in run:
            admin.http.delete(f"/workflows/{run['workflow_id']}").raise_for_status()
    operations = [{"collection": "message_vectors", "op": "delete", "ids": [document["id"] for document in documents]}]
    admin.post("/vectors/batch", {"operations": operations})


def reply_to_emails(platform: Platform, run_id: str) -> list[Any]:
    """Reply to the settled emails of a run: to the first twice, to the second automatically, to the third not at all.

    A sender killed between its claim and the response leaves its email `unknown` and never sends it again.
    """
    query = (
        "select id, contact_id, provider_message_id as name from email_sender.emails where run_id = %s "
        "and status in ('sent', 'delivered', 'unknown')"
    )
    settled_emails = wait_until(lambda: platform.query(query, run_id), lambda emails: len(emails) == 3, 90)
    rows = sorted(settled_emails, key=lambda row: row["name"] is None)
    admin = platform["admin@acme"]
    first, second, third = (_contact_address(admin, row["contact_id"]) for row in rows)
    for _ in range(2):
        api.deliver_inbound_mail(platform, api.reply_mail(f"Ann <{first}>", "x@acme.example", rows[0]["name"]))
    automatic_id = rows[1]["name"] or uuid4().hex
    api.deliver_inbound_mail(platform, api.reply_mail(second, "x@acme.example", automatic_id, automatic=True))
    # Somebody else who knows the id of the third email does not answer in the contact's place.
    stranger = f"stranger-{third}"
    api.deliver_inbound_mail(platform, api.reply_mail(stranger, "x@acme.example", rows[2]["name"] or uuid4().hex))
    return rows


def triage_runs(client: ApiClient, workflow: api.Json, writer: str) -> list[api.Json]:
    """Return the triage runs that read this person's mail."""
    runs = retry_server_errors(lambda: client.get(f"/workflows/{workflow['id']}/runs", limit=50))["items"]
    return [run for run in runs if _contact_address(client, run["inputs"]["event"]["data"]["contact_id"]) == writer]


def _contact_address(client: ApiClient, contact: str) -> str:
    return str(retry_server_errors(lambda: client.get(f"/contacts/{contact}"))["email"])


def published_data(platform: Platform, run: api.Json, kind: str) -> list[api.Json]:
    events = api.wait_for_events(platform["admin@acme"], run["id"], "run.succeeded")
    return [event["payload"]["data"] for event in events if event["type"] == kind]


@pytest.mark.parametrize("name", ["follow-up", "weekly-report", "inbound-triage", "import-and-index"])
def test_every_example_run_succeeds(scenario: ExamplesScenario, name: str) -> None:
    assert scenario.runs[name]["status"] == "succeeded", scenario.runs[name]["error"]


def test_answered_mail_gets_no_reminder_and_unanswered_mail_gets_one(
    platform: Platform, scenario: ExamplesScenario
) -> None:
    run, (answered_email, *unanswered_emails) = scenario.runs["follow-up"], scenario.emails
    step_pairs = zip(step_results(run, "send"), step_results(run, "answer"), strict=True)
    reply_results = {send_result["email_id"]: reply_result for send_result, reply_result in step_pairs}
    assert reply_results[str(answered_email["id"])]["replied"] is True
    assert [reply_results[str(row["id"])]["reason"] for row in unanswered_emails] == ["timeout", "timeout"]
    assert {reminder["contact_id"] for reminder in step_results(run, "remind")} == {
        str(row["contact_id"]) for row in unanswered_emails
    }
    emails = api.emails_of(platform["admin@acme"], run["id"])
    assert len(emails) == 5
    for email in emails:
        mails = api.sent_mails(platform, email["id"])
        assert len(mails) <= 1 if email["status"] == "unknown" else len(mails) == 1
    assert [event_data["email_id"] for event_data in published_data(platform, run, "email.replied")] == [
        str(answered_email["id"])
    ]


def test_a_report_is_written_from_the_search_results_and_mailed_once(
    platform: Platform, scenario: ExamplesScenario, model: TextModelServer
) -> None:
    admin, run = platform["admin@acme"], scenario.runs["weekly-report"]
    (email,) = api.emails_of(admin, run["id"])
    mails = api.sent_mails(platform, email["id"])
    assert len(mails) == 1 or (email["status"], len(mails)) == ("unknown", 0)
    (draft,) = step_results(run, "draft")
    assert "They say that it works." in admin.get(f"/drafts/{draft['draft_id']}")["text"]
    prompts = [request["messages"][-1]["content"] for request in model.requests]
    summary_prompt = next(prompt for prompt in prompts if scenario.topic in prompt and "Five sentences" in prompt)
    assert summary_prompt.count("<message id=") == len(step_results(run, "find")[0]["results"]) >= 3
    (trigger,) = list_triggers(admin, {"id": run["workflow_id"]})
    assert (trigger["kind"], trigger["state"]) == ("schedule", "active")


def test_inbound_mail_is_classified_its_sender_tagged_and_an_event_published(
    platform: Platform, scenario: ExamplesScenario, model: TextModelServer
) -> None:
    admin, run = platform["admin@acme"], scenario.runs["inbound-triage"]
    (triage_run,) = triage_runs(admin, {"id": run["workflow_id"]}, scenario.writer)
    contact = triage_run["inputs"]["event"]["data"]["contact_id"]
    assert admin.get(f"/contacts/{contact}")["attributes"]["tags"] == ["complaint"]
    assert [event_data["topic"] for event_data in published_data(platform, run, "UrgentMail")] == ["complaint"]
    assert any("Yes, " in request["messages"][-1]["content"] for request in model.requests)


def test_documents_posted_to_the_webhook_are_searchable(platform: Platform, scenario: ExamplesScenario) -> None:
    run, ids = scenario.runs["import-and-index"], {document["id"] for document in scenario.documents}
    assert scenario.posted_run_ids == [run["id"]] * 2
    body = {"collection": "message_vectors", "text": scenario.documents[0]["text"], "limit": 50, "hybrid": True}
    body["filter"] = {"must": [{"key": "kind", "match": {"value": "document"}}]}
    assert {hit["id"] for hit in platform["admin@acme"].post("/vectors/search", body)["results"]} >= ids
    assert [event_data["count"] for event_data in published_data(platform, run, "DocumentsIndexed")] == [3]
    assert scenario.runs["read back"]["steps"]["index"]["inserted"] == 3
