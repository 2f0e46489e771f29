"""examples/workflows on the deployed template, while every function's process is killed now and then.

No run may be stuck, and no step's effect may be there twice.
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
from tests.e2e import steps
from tests.e2e.killing import at_random, kill_workers
from tests.e2e.test_triggers import Poster, triggers_of
from tests.fakes import mailboxes
from tests.fakes.text_model import StandIn, serving

EXAMPLES = ROOT / "examples/workflows"
OURS = f"examples-{uuid4().hex[:8]}"
VERDICT = {"topic": "complaint", "urgent": True}


def says(text: str) -> str:
    return json.dumps(VERDICT) if "JSON Schema" in text else "They say that it works."


def patiently[T](ask: Callable[[], T], seconds: float = 60) -> T:
    """Asked again where the process that would have answered was just killed: 500, as AWS says it."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except (ApiError, httpx.HTTPError) as error:
            status = getattr(getattr(error, "response", None), "status_code", 500)
            if status < 500 or time.monotonic() > deadline:
                raise
            time.sleep(0.3)


def example(name: str, **changes: str) -> str:
    """Its text and its templates under names of their own, with times that a test can wait for."""
    text = (EXAMPLES / f"{name}.yaml").read_text().replace(f"name: {name}\n", f"name: {name}-{uuid4().hex[:8]}\n")
    text = text.replace("{template: ", f"{{template: {OURS}-")
    for before, after in changes.items():
        assert before in text
        text = text.replace(before, after)
    return text


def begun(client: ApiClient, text: str, inputs: steps.Json) -> steps.Json:
    key = uuid4().hex
    workflow = patiently(lambda: client.post("/workflows", {"definition": text}, key=key))
    return dict(patiently(lambda: client.post(f"/workflows/{workflow['id']}/execute", {"inputs": inputs}, key=key)))


def ended(client: ApiClient, run_id: str, seconds: float = 120) -> steps.Json:
    return wait_until(
        lambda: dict(patiently(lambda: client.get(f"/runs/{run_id}"))),
        lambda seen: seen["status"] in steps.ENDED,
        seconds,
    )


def approve(client: ApiClient, run_id: str, step: str) -> None:
    def waiting() -> list[steps.Json]:
        found = patiently(lambda: client.get("/approvals", status="pending", limit=200))["items"]
        return [each for each in found if (each["run_id"], each["step"]) == (run_id, step)]

    (approval,) = wait_until(waiting, lambda seen: len(seen) == 1, 60)
    patiently(lambda: client.post(f"/approvals/{approval['id']}", {"decision": "approved"}))


def results(run: steps.Json, step: str) -> list[Any]:
    """In the order of the items; a run lists its steps as they began."""
    records = sorted((each for each in run["steps"] if each["step"] == step), key=lambda each: each["item"] or 0)
    return [each["result"] for each in records]


@pytest.fixture(scope="module", autouse=True)
def templates(platform: Platform) -> None:
    for template in json.loads((EXAMPLES / "templates.json").read_text()):
        platform["user@acme"].post("/templates", {**template, "name": f"{OURS}-{template['name']}"})


@pytest.fixture(scope="module")
def model() -> Iterator[StandIn]:
    with serving(says, TEXT_MODEL_PORT) as server:
        yield server


@dataclass
class Story:
    """What was begun, and the runs that came of it."""

    topic: str
    reader: steps.Json
    writer: str
    documents: list[steps.Json]
    runs: dict[str, steps.Json] = field(default_factory=dict)
    emails: list[Any] = field(default_factory=list)
    posted: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def story(platform: Platform, model: StandIn) -> Iterator[Story]:
    """All four at once, under one killer."""
    admin, topic = platform["admin@acme"], uuid4().hex
    people = [mailboxes.message(f"We speak of {topic}.\n".encode()) for _ in range(3)]
    names = [(f"<{n}@{topic}>".encode(), f"<{n}-{topic}@sender.example>".encode()) for n in range(3)]
    letters = [
        raw.replace(b"<one@sender.example>", name).replace(b"<ada@sender.example>", sender)
        for raw, (name, sender) in zip(people, names, strict=True)
    ]
    steps.import_mailbox(admin, mailboxes.mbox(letters))
    word = uuid4().hex
    documents = [{"id": str(uuid4()), "title": f"Manual {n}", "text": f"{word} chapter {n}"} for n in range(3)]
    told = Story(topic, steps.add_contact(admin, "Rea Der"), f"{uuid4().hex}@people.example", documents)
    (tenant,) = platform.look("select mail_from from email_sender.tenants where name = 'acme'")
    triage = admin.post("/workflows", {"definition": example("inbound-triage")})
    indexing = admin.post("/workflows", {"definition": example("import-and-index")})
    poster = Poster(platform, admin, indexing)
    follow_up = example("follow-up", **{"timeout: P4D": "timeout: PT60S"})
    with at_random(platform, seed=int(os.environ.get("SEED", "1"))):
        writing = begun(admin, follow_up, {"query": topic, "people": 3})
        report = begun(admin, example("weekly-report"), {"topic": topic, "reader": told.reader["id"]})
        for _ in range(2):
            posted = patiently(lambda: poster.post({"documents": documents}, "msg_1").raise_for_status().json())
            told.posted.append(posted["run_id"])
        approve(admin, writing["id"], "review")
        told.emails = answered(platform, writing["id"])
        send_in(platform, reply(f"Una <{told.writer}>", tenant["mail_from"], "none"))
        reading = wait_until(lambda: about(admin, triage, told.writer), lambda seen: len(seen) > 0, 200)[0]
        # In the middle of that one, too. What a queue's consumer was at comes again after two minutes.
        kill_workers(platform)
        approve(admin, writing["id"], "review_reminders")
        begun_runs = {"follow-up": writing, "weekly-report": report, "inbound-triage": reading}
        told.runs = {name: ended(admin, run["id"]) for name, run in begun_runs.items()}
        told.runs["import-and-index"] = ended(admin, told.posted[0])
    told.runs["read back"] = poster.ask(f"{poster.trigger['path']}/runs/{told.posted[0]}").json()
    yield told
    for run in told.runs.values():
        if "workflow_id" in run:
            admin.http.delete(f"/workflows/{run['workflow_id']}").raise_for_status()
    operations = [{"collection": "message_vectors", "op": "delete", "ids": [each["id"] for each in documents]}]
    admin.post("/vectors/batch", {"operations": operations})


def answered(platform: Platform, run_id: str) -> list[Any]:
    """The emails, once they are settled: the first is answered, twice; the second by a machine; the third by nobody.

    A sender that is killed between claim and answer leaves its email `unknown`, and never sends it again.
    """
    query = (
        "select id, contact_id, provider_message_id as name from email_sender.emails where run_id = %s "
        "and status in ('sent', 'delivered', 'unknown')"
    )
    found = wait_until(lambda: platform.look(query, run_id), lambda seen: len(seen) == 3, 90)
    rows = sorted(found, key=lambda row: row["name"] is None)
    for _ in range(2):
        send_in(platform, reply("Ann <ann@people.example>", "x@acme.example", rows[0]["name"]))
    machine = rows[1]["name"] or uuid4().hex
    send_in(platform, reply("b@people.example", "x@acme.example", machine, automatic=True))
    return rows


def about(client: ApiClient, workflow: steps.Json, writer: str) -> list[steps.Json]:
    """The triage's runs that read this person's mail."""
    runs = patiently(lambda: client.get(f"/workflows/{workflow['id']}/runs", limit=50))["items"]
    return [run for run in runs if _email(client, run["inputs"]["event"]["data"]["contact_id"]) == writer]


def _email(client: ApiClient, contact: str) -> str:
    return str(patiently(lambda: client.get(f"/contacts/{contact}"))["email"])


def send_in(platform: Platform, raw: bytes) -> None:
    """As SES does it with mail that it receives."""
    stack = platform.aws("cloudformation")
    found = stack.describe_stack_resource(StackName="email-sender-local", LogicalResourceId="Inbound")
    bucket = found["StackResourceDetail"]["PhysicalResourceId"]
    platform.aws("s3").put_object(Bucket=bucket, Key=uuid4().hex, Body=raw)


def reply(sender: str, to: str, provider_id: str, *, automatic: bool = False) -> bytes:
    name, domain = uuid4().hex, "" if "@" in provider_id else "@email.amazonses.com"
    more = "Auto-Submitted: auto-replied\r\n" if automatic else ""
    return (
        f"From: {sender}\r\nTo: {to}\r\nSubject: Re: hello\r\nMessage-ID: <{name}@people.example>\r\n{more}"
        f"Date: Sat, 21 Nov 2026 10:00:00 +0000\r\nIn-Reply-To: <{provider_id}{domain}>\r\n"
        f"References: <{provider_id}{domain}>\r\n\r\nYes, {name} please.\r\n"
    ).encode()


def told_by(platform: Platform, run: steps.Json, kind: str) -> list[steps.Json]:
    events = steps.events_of(platform["admin@acme"], run["id"], "run.succeeded")
    return [each["payload"]["data"] for each in events if each["type"] == kind]


@pytest.mark.parametrize("name", ["follow-up", "weekly-report", "inbound-triage", "import-and-index"])
def test_none_is_stuck(story: Story, name: str) -> None:
    assert story.runs[name]["status"] == "succeeded", story.runs[name]["error"]


def test_who_answers_is_not_reminded_and_who_is_silent_is_once(platform: Platform, story: Story) -> None:
    run, (one, *others) = story.runs["follow-up"], story.emails
    pairs = zip(results(run, "send"), results(run, "answer"), strict=True)
    answers = {sent["email_id"]: answer for sent, answer in pairs}
    assert answers[str(one["id"])]["replied"] is True
    assert [answers[str(row["id"])]["reason"] for row in others] == ["timeout", "timeout"]
    assert {each["contact_id"] for each in results(run, "remind")} == {str(row["contact_id"]) for row in others}
    sent = steps.emails_of(platform["admin@acme"], run["id"])
    assert len(sent) == 5
    for each in sent:
        mails = steps.mails_tagged(platform, each["id"])
        assert len(mails) <= 1 if each["status"] == "unknown" else len(mails) == 1
    assert [each["email_id"] for each in told_by(platform, run, "email.replied")] == [str(one["id"])]


def test_a_report_is_written_from_what_was_found_and_mailed_once(
    platform: Platform, story: Story, model: StandIn
) -> None:
    admin, run = platform["admin@acme"], story.runs["weekly-report"]
    (email,) = steps.emails_of(admin, run["id"])
    mails = steps.mails_tagged(platform, email["id"])
    assert len(mails) == 1 or (email["status"], len(mails)) == ("unknown", 0)
    (draft,) = results(run, "draft")
    assert "They say that it works." in admin.get(f"/drafts/{draft['draft_id']}")["text"]
    asked = [each["messages"][-1]["content"] for each in model.asked]
    read = next(each for each in asked if story.topic in each and "Five sentences" in each)
    assert read.count("<message id=") == len(results(run, "find")[0]["results"]) >= 3
    (trigger,) = triggers_of(admin, {"id": run["workflow_id"]})
    assert (trigger["kind"], trigger["state"]) == ("schedule", "active")


def test_a_mail_that_comes_in_is_read_its_writer_tagged_and_somebody_told(
    platform: Platform, story: Story, model: StandIn
) -> None:
    admin, run = platform["admin@acme"], story.runs["inbound-triage"]
    (mine,) = about(admin, {"id": run["workflow_id"]}, story.writer)
    contact = mine["inputs"]["event"]["data"]["contact_id"]
    assert admin.get(f"/contacts/{contact}")["attributes"]["tags"] == ["complaint"]
    assert [each["topic"] for each in told_by(platform, run, "UrgentMail")] == ["complaint"]
    assert any("Yes, " in each["messages"][-1]["content"] for each in model.asked)


def test_documents_that_come_by_webhook_are_found(platform: Platform, story: Story) -> None:
    run, ids = story.runs["import-and-index"], {each["id"] for each in story.documents}
    assert story.posted == [run["id"]] * 2
    body = {"collection": "message_vectors", "text": story.documents[0]["text"], "limit": 50, "hybrid": True}
    body["filter"] = {"must": [{"key": "kind", "match": {"value": "document"}}]}
    assert {hit["id"] for hit in platform["admin@acme"].post("/vectors/search", body)["results"]} >= ids
    assert [each["count"] for each in told_by(platform, run, "DocumentsIndexed")] == [3]
    assert story.runs["read back"]["steps"]["index"]["inserted"] == 3
