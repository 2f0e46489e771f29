"""examples/workflows on the deployed template, while every function's process is killed now and then.

No run may be stuck, and no step's effect may be there twice.
"""

import json
import time
from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.policy import default
from typing import Any
from uuid import uuid4

import httpx
import pytest

from local.client import ApiClient, ApiError, wait_until
from local.layout import ROOT
from tests.conftest import Platform
from tests.e2e import steps
from tests.e2e.killing import at_random
from tests.e2e.test_triggers import Poster, triggers_of
from tests.e2e.text_model import StandIn, stand_in
from tests.fakes import mailboxes

EXAMPLES = ROOT / "examples/workflows"
VERDICT = {"topic": "complaint", "urgent": True}


def patiently[T](ask: Callable[[], T], seconds: float = 60) -> T:
    """Asked again where the process that would have answered was just killed: 500, as AWS says it."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except (ApiError, httpx.HTTPError) as error:
            status = getattr(getattr(error, "response", None), "status_code", 500)
            assert status >= 500, error
            assert time.monotonic() < deadline, error
            time.sleep(0.3)


def example(name: str, **changes: str) -> str:
    """Its text under a name of its own, with times that a test can wait for."""
    text = (EXAMPLES / f"{name}.yaml").read_text().replace(f"name: {name}\n", f"name: {name}-{uuid4().hex[:8]}\n")
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
    return [each["result"] for each in run["steps"] if each["step"] == step]


@pytest.fixture(scope="module", autouse=True)
def templates(platform: Platform) -> None:
    client = platform["user@acme"]
    there = {each["name"] for each in client.get("/templates", limit=200)["items"]}
    for template in json.loads((EXAMPLES / "templates.json").read_text()):
        if template["name"] not in there:
            client.post("/templates", template)


@pytest.fixture(scope="module")
def archive(platform: Platform) -> steps.Json:
    return steps.import_mailbox(platform["user@acme"], mailboxes.ordinary(12))


@pytest.fixture
def model() -> Iterator[StandIn]:
    with stand_in(lambda text: json.dumps(VERDICT) if "JSON Schema" in text else "They say that it works.") as server:
        yield server


def send_in(platform: Platform, raw: bytes) -> str:
    """As SES does it with mail that it receives."""
    bucket = platform.aws("cloudformation").describe_stack_resource(
        StackName="email-sender-local", LogicalResourceId="Inbound"
    )["StackResourceDetail"]["PhysicalResourceId"]
    key = uuid4().hex
    platform.aws("s3").put_object(Bucket=bucket, Key=key, Body=raw)
    return key


def reply(sender: str, to: str, provider_id: str, *, automatic: bool = False) -> bytes:
    name = uuid4().hex
    more = "Auto-Submitted: auto-replied\r\n" if automatic else ""
    return (
        f"From: {sender}\r\nTo: {to}\r\nSubject: Re: hello\r\nMessage-ID: <{name}@people.example>\r\n{more}"
        f"Date: Sat, 21 Nov 2026 10:00:00 +0000\r\nIn-Reply-To: <{provider_id}@email.amazonses.com>\r\n"
        f"References: <{provider_id}@email.amazonses.com>\r\n\r\nYes, {name} please.\r\n"
    ).encode()


def test_who_answers_is_not_reminded_and_who_is_silent_is_once(platform: Platform, archive: steps.Json) -> None:
    admin = platform["admin@acme"]
    text = example("follow-up", **{"timeout: P4D": "timeout: PT40S"})
    with at_random(platform, seed=1):
        run = begun(admin, text, {"query": "message number 3", "people": 3})
        approve(admin, run["id"], "review")
        rows = wait_until(
            lambda: platform.look(
                "select id, contact_id, provider_message_id from email_sender.emails where run_id = %s "
                "and provider_message_id is not null order by id",
                run["id"],
            ),
            lambda seen: len(seen) == 3,
            60,
        )
        # One answers, twice; one's machine does; one is silent.
        for _ in range(2):
            send_in(platform, reply("Ann <ann@people.example>", "x@acme.example", rows[0]["provider_message_id"]))
        send_in(platform, reply("b@people.example", "x@acme.example", rows[1]["provider_message_id"], automatic=True))
        approve(admin, run["id"], "review_reminders")
        found = ended(admin, run["id"])
    assert found["status"] == "succeeded", found["error"]
    answers = {each["email"]: each for each in _by_email(results(found, "send"), results(found, "answer"))}
    assert answers[str(rows[0]["id"])]["replied"] is True
    assert [answers[str(row["id"])]["reason"] for row in rows[1:]] == ["timeout", "timeout"]
    sent = steps.emails_of(admin, run["id"])
    assert len(sent) == 5
    first = {each["contact_id"] for each in results(found, "send")}
    assert {each["contact_id"] for each in results(found, "remind")} == first - {str(rows[0]["contact_id"])}
    for each in sent:
        assert len(steps.mails_tagged(platform, each["id"])) == 1
    told = steps.events_of(admin, run["id"], "run.succeeded")
    assert [each["payload"]["data"]["email_id"] for each in told if each["type"] == "email.replied"] == [
        str(rows[0]["id"])
    ]


def _by_email(sent: list[Any], answered: list[Any]) -> list[steps.Json]:
    return [{"email": one["email_id"], **two} for one, two in zip(sent, answered, strict=True)]


def test_a_report_is_written_from_what_was_found_and_mailed_once(
    platform: Platform, archive: steps.Json, model: StandIn
) -> None:
    admin = platform["admin@acme"]
    reader = steps.add_contact(admin, "Rea Der")
    with at_random(platform, seed=2):
        run = begun(admin, example("weekly-report"), {"topic": "message number 5", "reader": reader["id"]})
        found = ended(admin, run["id"])
    assert found["status"] == "succeeded", found["error"]
    (email,) = steps.emails_of(admin, run["id"])
    (raw,) = steps.mails_tagged(platform, email["id"])
    body = message_from_bytes(raw, policy=default).get_body(("plain",))
    assert body is not None
    assert "They say that it works." in body.get_content()
    read = model.asked[-1]["messages"][-1]["content"]
    assert read.count("<message id=") == len(results(found, "find")[0]["results"]) > 1
    (trigger,) = triggers_of(admin, {"id": run["workflow_id"]})
    assert (trigger["kind"], trigger["state"]) == ("schedule", "active")
    admin.http.delete(f"/workflows/{run['workflow_id']}").raise_for_status()


def test_a_mail_that_comes_in_is_read_its_writer_tagged_and_somebody_told(platform: Platform, model: StandIn) -> None:
    admin = platform["admin@acme"]
    workflow = admin.post("/workflows", {"definition": example("inbound-triage")})
    (tenant,) = platform.look("select mail_from from email_sender.tenants where name = 'acme'")
    sender = f"{uuid4().hex}@people.example"
    with at_random(platform, seed=3):
        send_in(platform, reply(f"Una <{sender}>", tenant["mail_from"], "none"))
        path = f"/workflows/{workflow['id']}/runs"
        (run,) = wait_until(lambda: patiently(lambda: admin.get(path))["items"], lambda seen: len(seen) == 1, 60)
        found = ended(admin, run["id"])
    assert found["status"] == "succeeded", found["error"]
    contact = admin.get(f"/contacts/{run['inputs']['event']['data']['contact_id']}")
    assert (contact["email"], contact["attributes"]["tags"]) == (sender, ["complaint"])
    told = [each for each in steps.events_of(admin, run["id"], "run.succeeded") if each["type"] == "UrgentMail"]
    assert [each["payload"]["data"]["topic"] for each in told] == ["complaint"]
    assert len(admin.get(path)["items"]) == 1
    assert "Yes, " in model.asked[-1]["messages"][-1]["content"]
    admin.http.delete(f"/workflows/{workflow['id']}").raise_for_status()


def test_documents_that_come_by_webhook_are_found(platform: Platform) -> None:
    admin = platform["admin@acme"]
    workflow = admin.post("/workflows", {"definition": example("import-and-index")})
    poster = Poster(platform, admin, workflow)
    word, ids = uuid4().hex, [str(uuid4()) for _ in range(3)]
    documents = [{"id": each, "title": f"Manual {n}", "text": f"{word} chapter {n}"} for n, each in enumerate(ids)]
    with at_random(platform, seed=4):
        posted = patiently(lambda: poster.post({"documents": documents}, "msg_documents").raise_for_status().json())
        found = ended(admin, posted["run_id"])
        again = patiently(lambda: poster.post({"documents": documents}, "msg_documents").raise_for_status().json())
    assert (found["status"], again["run_id"]) == ("succeeded", posted["run_id"])
    body = {"collection": "message_vectors", "text": word, "limit": 10, "hybrid": True}
    body["filter"] = {"must": [{"key": "kind", "match": {"value": "document"}}]}
    hits = admin.post("/vectors/search", body)["results"]
    assert {hit["id"] for hit in hits} >= set(ids)
    told = [each for each in steps.events_of(admin, posted["run_id"], "run.succeeded")]
    assert [each["payload"]["data"]["count"] for each in told if each["type"] == "DocumentsIndexed"] == [3]
    read = poster.ask(posted["result_path"]).json()
    assert read["steps"]["index"]["inserted"] == 3
    admin.http.delete(f"/workflows/{workflow['id']}").raise_for_status()
    operations = [{"collection": "message_vectors", "op": "delete", "ids": ids}]
    admin.post("/vectors/batch", {"operations": operations})
