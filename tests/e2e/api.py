"""Actions and waits that several end-to-end tests share."""

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
    """Upload a mailbox, wait until its import ends, and return the import."""
    created_import = client.post("/vectors/imports", {"file_name": name, "size_bytes": len(content)})
    httpx.put(created_import["upload"]["url"], content=content, timeout=60).raise_for_status()
    return wait_until(
        lambda: dict(client.get(f"/vectors/imports/{created_import['job_id']}")),
        lambda job: job["status"] in ("completed", "failed"),
        seconds,
    )


def add_contact(client: ApiClient, name: str = "Ada Example") -> Json:
    """Add a contact with a unique address."""
    return dict(client.post("/contacts", {"email": f"{uuid4().hex}@people.example", "name": name}))


def add_template(client: ApiClient, **changes: Any) -> Json:
    body = {
        "name": f"t-{uuid4().hex}",
        "subject": "Hello {{ contact.first_name }}",
        "body_text": "Dear {{ contact.name }}.\n{{ unsubscribe_url }}\n",
    }
    return dict(client.post("/templates", body | changes))


def mail_workflow(template: str, contacts: Iterable[str], *, approval: bool = True) -> Json:
    """Return a definition that sends a mail to each contact, by default only after an approval."""
    contact_list = ", ".join(f'"{contact_id}"' for contact_id in contacts)
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
        "for_each": f"{{% [{contact_list}] %}}",
        "with": {"template": template, "contact": "{% $item %}"},
    }
    return {"name": f"w-{uuid4().hex}", "steps": [draft, *(review if approval else []), send]}


def start_run(client: ApiClient, definition: Json | str, inputs: Json | None = None) -> Json:
    workflow = client.post("/workflows", {"definition": definition})
    return dict(client.post(f"/workflows/{workflow['id']}/execute", {"inputs": inputs or {}}))


def wait_for_run(client: ApiClient, run_id: str, *statuses: str, seconds: float = 60) -> Json:
    return wait_until(
        lambda: dict(client.get(f"/runs/{run_id}")), lambda run: run["status"] in (*statuses, *ENDED), seconds
    )


def wait_for_approval(client: ApiClient, run_id: str) -> Json:
    def find_approval() -> Json | None:
        approvals = client.get("/approvals", status="pending", limit=200)["items"]
        return next((candidate for candidate in approvals if candidate["run_id"] == run_id), None)

    approval = wait_until(find_approval, lambda candidate: candidate is not None, 60)
    assert approval is not None
    return approval


def decide(client: ApiClient, run_id: str, decision: str) -> Json:
    approval = wait_for_approval(client, run_id)
    return dict(client.post(f"/approvals/{approval['id']}", {"decision": decision}))


def emails_of(client: ApiClient, run_id: str) -> list[Json]:
    return list(client.get("/emails", run_id=run_id, limit=200)["items"])


def sent_mails(platform: Platform, email_id: str) -> list[bytes]:
    """Return every mail that was sent with this email id."""
    messages = httpx.get(platform.mail_url, timeout=10).json()
    ids = [message["id"] for message in messages if message.get("tags", {}).get("email_id") == email_id]
    return [httpx.get(f"{platform.mail_url}/{message_id}", timeout=10).content for message_id in ids]


def wait_for_email(client: ApiClient, email_id: str, *statuses: str) -> Json:
    return wait_until(lambda: dict(client.get(f"/emails/{email_id}")), lambda email: email["status"] in statuses, 30)


def wait_for_events(client: ApiClient, correlation_id: str, until: str) -> list[Json]:
    """Wait for an event of the type `until`, then return all recorded events of the correlation id."""
    events = wait_until(
        lambda: list(client.get("/events", correlation_id=correlation_id, limit=200)["items"]),
        lambda recorded_events: any(event["type"] == until for event in recorded_events),
        30,
    )
    time.sleep(1)
    return list(client.get("/events", correlation_id=correlation_id, limit=200)["items"]) or events


def deliver_inbound_mail(platform: Platform, raw: bytes) -> None:
    """Store a mail in the inbound bucket, as SES does with received mail."""
    stack = platform.aws("cloudformation")
    response = stack.describe_stack_resource(StackName="email-sender-local", LogicalResourceId="Inbound")
    bucket = response["StackResourceDetail"]["PhysicalResourceId"]
    platform.aws("s3").put_object(Bucket=bucket, Key=uuid4().hex, Body=raw)


def reply_mail(sender: str, to: str, provider_id: str, *, automatic: bool = False) -> bytes:
    name, domain = uuid4().hex, "" if "@" in provider_id else "@email.amazonses.com"
    extra_header = "Auto-Submitted: auto-replied\r\n" if automatic else ""
    return (
        f"From: {sender}\r\nTo: {to}\r\nSubject: Re: hello\r\nMessage-ID: <{name}@people.example>\r\n{extra_header}"
        f"Date: Sat, 21 Nov 2026 10:00:00 +0000\r\nIn-Reply-To: <{provider_id}{domain}>\r\n"
        f"References: <{provider_id}{domain}>\r\n\r\nYes, {name} please.\r\n"
    ).encode()
