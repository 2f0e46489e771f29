"""What several end-to-end tests do on their way."""

import time
from collections.abc import Iterable
from typing import Any
from uuid import uuid4

import httpx

from local.client import ApiClient, wait_until
from local.layout import ROOT
from tests.conftest import Platform

MAILBOX = ROOT / "examples/mailbox/lists-2002.mbox"
OUTREACH = (ROOT / "examples/workflows/outreach.yaml").read_text()
ENDED = ("succeeded", "failed", "cancelled", "timed_out")

type Json = dict[str, Any]


def import_mailbox(client: ApiClient, content: bytes, name: str = "test.mbox", seconds: float = 90) -> Json:
    """Upload it and wait for its end."""
    created = client.post("/vectors/imports", {"file_name": name, "size_bytes": len(content)})
    httpx.put(created["upload"]["url"], content=content, timeout=60).raise_for_status()
    return wait_until(
        lambda: dict(client.get(f"/vectors/imports/{created['job_id']}")),
        lambda seen: seen["status"] in ("completed", "failed"),
        seconds,
    )


def add_contact(client: ApiClient, name: str = "Ada Example") -> Json:
    """A contact whose address nobody else has."""
    return dict(client.post("/contacts", {"email": f"{uuid4().hex}@people.example", "name": name}))


def add_template(client: ApiClient, **changes: Any) -> Json:
    body = {
        "name": f"t-{uuid4().hex}",
        "subject": "Hello {{ contact.first_name }}",
        "body_text": "Dear {{ contact.name }}.\n{{ unsubscribe_url }}\n",
    }
    return dict(client.post("/templates", body | changes))


def letter(template: str, contacts: Iterable[str], *, approval: bool = True) -> Json:
    """A workflow that writes to these contacts."""
    people = ", ".join(f'"{each}"' for each in contacts)
    review: list[Json] = [
        {"id": "review", "uses": "approval", "needs": ["draft"], "with": {"title": "t", "drafts": "{% $steps.draft %}"}}
    ]
    send: Json = {
        "id": "send",
        "uses": "email.send",
        "needs": ["review" if approval else "draft"],
        "for_each": "{% $steps.draft %}",
        "with": {"draft": "{% $item.draft_id %}"},
    }
    if approval:
        send["when"] = "{% $steps.review.decision = 'approved' %}"
    draft = {
        "id": "draft",
        "uses": "template.render",
        "for_each": f"{{% [{people}] %}}",
        "with": {"template": template, "contact": "{% $item %}"},
    }
    return {"name": f"w-{uuid4().hex}", "steps": [draft, *(review if approval else []), send]}


def start(client: ApiClient, definition: Json | str, inputs: Json | None = None) -> Json:
    workflow = client.post("/workflows", {"definition": definition})
    return dict(client.post(f"/workflows/{workflow['id']}/execute", {"inputs": inputs or {}}))


def wait_run(client: ApiClient, run_id: str, *wanted: str, seconds: float = 60) -> Json:
    return wait_until(
        lambda: dict(client.get(f"/runs/{run_id}")), lambda seen: seen["status"] in (*wanted, *ENDED), seconds
    )


def pending_approval(client: ApiClient, run_id: str) -> Json:
    def look() -> Json | None:
        found = client.get("/approvals", status="pending", limit=200)["items"]
        return next((each for each in found if each["run_id"] == run_id), None)

    found = wait_until(look, lambda seen: seen is not None, 60)
    assert found is not None
    return found


def decide(client: ApiClient, run_id: str, decision: str) -> Json:
    approval = pending_approval(client, run_id)
    return dict(client.post(f"/approvals/{approval['id']}", {"decision": decision}))


def emails_of(client: ApiClient, run_id: str) -> list[Json]:
    return [each for each in client.get("/emails", limit=200)["items"] if each["run_id"] == run_id]


def mails_tagged(platform: Platform, email_id: str) -> list[bytes]:
    """Every mail that left with this id."""
    stored = httpx.get(platform.mail, timeout=10).json()
    ids = [each["id"] for each in stored if each.get("tags", {}).get("email_id") == email_id]
    return [httpx.get(f"{platform.mail}/{each}", timeout=10).content for each in ids]


def wait_email(client: ApiClient, email_id: str, *wanted: str) -> Json:
    return wait_until(lambda: dict(client.get(f"/emails/{email_id}")), lambda seen: seen["status"] in wanted, 30)


def events_of(client: ApiClient, correlation_id: str, until: str) -> list[Json]:
    """The recorded events, once one of that type is among them and nothing more comes."""
    events = wait_until(
        lambda: list(client.get("/events", correlation_id=correlation_id, limit=200)["items"]),
        lambda seen: any(each["type"] == until for each in seen),
        30,
    )
    time.sleep(1)
    return list(client.get("/events", correlation_id=correlation_id, limit=200)["items"]) or events
