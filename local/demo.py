"""The demo of `make run`, over HTTP: import a mailbox, find people, draft, approve, send, show the results."""

import json
import time
from collections.abc import Sequence
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from local.client import ApiClient, ApiError, wait_until
from local.layout import ROOT

MAILBOX = ROOT / "examples/mailbox/lists-2002.mbox"
WORKFLOW = ROOT / "examples/workflows/outreach.yaml"
TEMPLATES = ROOT / "examples/workflows/templates.json"
QUERY = "people who package RPMs and hit dependency problems"
PEOPLE = 4
_SHOWN_PASSAGE = 200


class DemoFailed(RuntimeError):
    """A step of the demo failed. The message names the step and what it returned."""


class Demo:
    """The steps of the demo. `endpoints` is the content of endpoints.json."""

    def __init__(self, endpoints: dict[str, Any], console: Console) -> None:
        self._console = console
        self._mail_url: str = endpoints["mail"]["http"]
        passwords = {user["username"]: user["password"] for user in endpoints["users"]}
        self._admin = ApiClient.sign_in(endpoints["api"], "admin@acme", passwords["admin@acme"])
        self._user = ApiClient.sign_in(endpoints["api"], "user@acme", passwords["user@acme"])

    def run(self) -> None:
        """Run all steps. Raises DemoFailed, ApiError or TimeoutError if one of them fails."""
        self._import(MAILBOX)
        groups = self._search()
        self._suppress_last(groups)
        run = self._run_workflow()
        self._show_mail(run)
        self._show_steps(run)
        self._show_events(run)

    def was_run(self) -> bool:
        """Return whether acme has sent mail before. People must not get the demo's mail at every start."""
        return bool(self._admin.get("/emails", limit=1)["items"])

    def close(self) -> None:
        self._admin.close()
        self._user.close()

    def _import(self, mailbox: Path) -> None:
        self._title(f"1. Import {mailbox.name}")
        started = time.perf_counter()
        size = mailbox.stat().st_size
        import_job = self._admin.post("/vectors/imports", {"file_name": mailbox.name, "size_bytes": size})
        upload_response = httpx.put(import_job["upload"]["url"], content=mailbox.read_bytes(), timeout=60)
        upload_response.raise_for_status()
        with self._console.status("Uploaded. Waiting for the import …") as status:
            finished_job = wait_until(
                lambda: self._admin.get(f"/vectors/imports/{import_job['job_id']}"),
                lambda job: job["status"] in ("completed", "failed"),
                120,
                lambda job: status.update(f"Import {job['status']}: {job['progress']['messages']} messages"),
            )
        progress = finished_job["progress"]
        if finished_job["status"] != "completed":
            raise DemoFailed(f"The import failed: {finished_job['error']}")
        seconds = time.perf_counter() - started
        self._console.print(
            f"Imported {progress['messages']} messages in {seconds:.1f} s: {progress['stored']} new, "
            f"{progress['duplicates']} already stored, {progress['failed']} unreadable."
        )

    def _search(self) -> list[dict[str, Any]]:
        self._title(f"2. Search for {QUERY}")
        result = self._admin.post(
            "/vectors/search",
            {"collection": "message_vectors", "text": QUERY, "limit": PEOPLE, "group_by": "contact"},
        )
        groups: list[dict[str, Any]] = result["groups"]
        if not groups:
            raise DemoFailed(f"The search found no contacts. {result.get('nobody', '')}")
        for rank, group in enumerate(groups, 1):
            contact = self._admin.get(f"/contacts/{group['key']}")
            self._console.print(f"[bold]{rank}. {contact['name'] or ''}[/] <{contact['email']}>  {group['score']:.3f}")
            self._console.print(f"   {group['reason']}", markup=False)
            for hit in group["hits"]:
                message = hit["message"]
                passage = (
                    " ".join(message["passage"]["text"].split())[:_SHOWN_PASSAGE] if message.get("passage") else ""
                )
                self._console.print(f"   {(message.get('sent_at') or '')[:10]}  {message['subject']}", markup=False)
                self._console.print(f"   [dim]{_escape_markup(passage)}[/]")
        self._console.print(f"[dim]The search took {result['took_ms']:.1f} ms.[/]")
        return groups

    def _suppress_last(self, groups: Sequence[dict[str, Any]]) -> None:
        contact = self._admin.get(f"/contacts/{groups[-1]['key']}")
        self._admin.post("/suppressions", {"email": contact["email"]})
        self._console.print(f"\n{contact['email']} is now suppressed: no workflow can send mail to this address.")

    def _run_workflow(self) -> dict[str, Any]:
        self._title('3. Run the workflow "outreach"')
        for template in json.loads(TEMPLATES.read_text()):
            self._store("/templates", template)
        definition = WORKFLOW.read_text()
        workflow = self._store("/workflows", {"definition": definition}, "outreach")
        run = self._user.post(f"/workflows/{workflow['id']}/execute", {"inputs": {"query": QUERY, "people": PEOPLE}})
        self._console.print(f"user@acme, who may not send mail, started the run {run['id']}.")
        self._wait(run["id"], ("waiting",))
        approval = next(candidate for candidate in self._admin.get("/approvals", status="pending")["items"]
                        if candidate["run_id"] == run["id"])  # fmt: skip
        self._console.print(f"The run waits for approval: {approval['title']}")
        first_draft = self._admin.get(f"/drafts/{approval['drafts'][0]['draft_id']}")
        self._console.print(f"[dim]Subject of the first draft: {_escape_markup(first_draft['subject'])}[/]")
        self._admin.post(f"/approvals/{approval['id']}", {"decision": "approved", "comment": "Good to go."})
        self._console.print("admin@acme approved the drafts.")
        return self._wait(run["id"], ("succeeded",))

    def _store(self, path: str, body: dict[str, Any], name: str | None = None) -> dict[str, Any]:
        """Create an object with POST. If an earlier start created it, PUT a new version."""
        try:
            result: dict[str, Any] = self._admin.post(path, body)
        except ApiError as error:
            if error.code != "conflict":
                raise
            target_name = name or body["name"]
            existing = next(
                entry for entry in self._admin.get(path, limit=200)["items"] if entry["name"] == target_name
            )
            result = self._admin.put(f"{path}/{existing['id']}", body)
        return result

    def _wait(self, run_id: str, expected_statuses: tuple[str, ...]) -> dict[str, Any]:
        final_statuses = ("succeeded", "failed", "cancelled", "timed_out")
        run = wait_until(
            lambda: self._admin.get(f"/runs/{run_id}"),
            lambda state: state["status"] in (*expected_statuses, *final_statuses),
            120,
        )
        if run["status"] not in expected_statuses:
            raise DemoFailed(f"The run has status {run['status']}: {run['error']}")
        return dict(run)

    def _show_mail(self, run: dict[str, Any]) -> None:
        self._title("4. Sent mail")
        emails = self._admin.get("/emails", run_id=run["id"], limit=50)["items"]
        sent = [email for email in emails if email["status"] in ("sent", "delivered")]
        suppressed = [email for email in emails if email["status"] == "suppressed"]
        raw_mails = wait_until(lambda: self._fetch_mails(sent), lambda found_mails: len(found_mails) == len(sent), 20)
        if not raw_mails:
            raise DemoFailed(f"No mail was sent. The run's emails: {emails}")
        for raw in raw_mails[:1]:
            self._console.print(raw.decode(errors="replace").replace("\r\n", "\n"), markup=False, highlight=False)
        for raw in raw_mails[1:]:
            mail = message_from_bytes(raw, policy=default)
            self._console.print(f"Also sent to {mail['to']}: {mail['subject']}", markup=False, highlight=False)
        self._console.print(f"{len(raw_mails)} sent, {len(suppressed)} suppressed and not sent.")

    def _fetch_mails(self, emails: Sequence[dict[str, Any]]) -> list[bytes]:
        """Fetch the raw mails of these emails from the mail sink."""
        email_ids = {email["id"] for email in emails}
        messages = httpx.get(self._mail_url, timeout=10).json()
        message_ids = [message["id"] for message in messages if message.get("tags", {}).get("email_id") in email_ids]
        return [httpx.get(f"{self._mail_url}/{message_id}", timeout=10).content for message_id in message_ids]

    def _show_steps(self, run: dict[str, Any]) -> None:
        self._title("5. Steps and events of the run")
        table = Table("Step", "Item", "Action", "Status", "Attempts", "Time", box=None, header_style="bold")
        for step in run["steps"]:
            item = "" if step["item"] is None else str(step["item"])
            table.add_row(
                step["step"], item, step["action"], step["status"], str(step["attempts"]), f"{step['took_ms']} ms"
            )
        self._console.print(table)

    def _show_events(self, run: dict[str, Any]) -> None:
        events = wait_until(
            lambda: self._admin.get("/events", correlation_id=run["id"], limit=200)["items"],
            lambda page: any(entry["type"] == "run.succeeded" for entry in page),
            60,
        )
        counts: dict[str, int] = {}
        for event in reversed(events):
            counts[event["type"]] = counts.get(event["type"], 0) + 1
        self._console.print("\nEvents of the run: " + ", ".join(f"{kind} x{count}" for kind, count in counts.items()))

    def _title(self, text: str) -> None:
        self._console.print()
        self._console.rule(f"[bold]{text}", align="left")


def _escape_markup(text: str) -> str:
    """Escape [brackets], which Rich reads as markup."""
    return text.replace("[", r"\[")
