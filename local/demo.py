"""The main job, as a user does it over HTTP: import a mailbox, find people, draft, approve, send, see what happened."""

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


class DemoFailed(RuntimeError):
    """A step did not do what it should; the message says which and what was seen."""


class Demo:
    """`endpoints` is what endpoints.json holds."""

    def __init__(self, endpoints: dict[str, Any], console: Console) -> None:
        self._console = console
        self._mail_url: str = endpoints["mail"]["http"]
        passwords = {user["username"]: user["password"] for user in endpoints["users"]}
        self._admin = ApiClient.sign_in(endpoints["api"], "admin@acme", passwords["admin@acme"])
        self._user = ApiClient.sign_in(endpoints["api"], "user@acme", passwords["user@acme"])

    def run(self) -> None:
        """Raises DemoFailed, ApiError or TimeoutError where a step fails."""
        self._import(MAILBOX)
        groups = self._search()
        self._suppress_last(groups)
        run = self._run_workflow()
        self._show_mail(run)
        self._show_steps(run)
        self._show_events(run)

    def close(self) -> None:
        self._admin.close()
        self._user.close()

    def _import(self, mailbox: Path) -> None:
        self._title(f"1. Import {mailbox.name}")
        started = time.perf_counter()
        size = mailbox.stat().st_size
        created = self._admin.post("/vectors/imports", {"file_name": mailbox.name, "size_bytes": size})
        uploaded = httpx.put(created["upload"]["url"], content=mailbox.read_bytes(), timeout=60)
        uploaded.raise_for_status()
        with self._console.status("uploaded; waiting for the state machine") as status:
            done = wait_until(
                lambda: self._admin.get(f"/vectors/imports/{created['job_id']}"),
                lambda seen: seen["status"] in ("completed", "failed"),
                120,
                lambda seen: status.update(f"{seen['status']}: {seen['progress']['messages']} messages"),
            )
        progress = done["progress"]
        if done["status"] != "completed":
            raise DemoFailed(f"the import failed: {done['error']}")
        took = time.perf_counter() - started
        self._console.print(
            f"{progress['messages']} messages in {took:.1f} s: {progress['stored']} new, "
            f"{progress['duplicates']} known already, {progress['failed']} could not be read"
        )

    def _search(self) -> list[dict[str, Any]]:
        self._title(f"2. Who are the {QUERY}?")
        found = self._admin.post(
            "/vectors/search",
            {"collection": "message_vectors", "text": QUERY, "limit": PEOPLE, "group_by": "contact"},
        )
        groups: list[dict[str, Any]] = found["groups"]
        if not groups:
            raise DemoFailed("the search found nobody")
        for rank, group in enumerate(groups, 1):
            contact = self._admin.get(f"/contacts/{group['key']}")
            self._console.print(f"[bold]{rank}. {contact['name'] or ''}[/] <{contact['email']}>  {group['score']:.3f}")
            ids = [hit["id"] for hit in group["hits"]]
            for message in self._admin.get("/messages", id=ids)["items"]:
                excerpt = " ".join(message["text"].split())[:150]
                self._console.print(f"   {(message['sent_at'] or '')[:10]}  {message['subject']}", markup=False)
                self._console.print(f"   [dim]{_plain(excerpt)}[/]")
        self._console.print(f"[dim]answered in {found['took_ms']:.1f} ms[/]")
        return groups

    def _suppress_last(self, groups: Sequence[dict[str, Any]]) -> None:
        contact = self._admin.get(f"/contacts/{groups[-1]['key']}")
        self._admin.post("/suppressions", {"email": contact["email"]})
        self._console.print(f"\n{contact['email']} is suppressed now, and will get no mail whatever a workflow says")

    def _run_workflow(self) -> dict[str, Any]:
        self._title('3. Run the workflow "outreach"')
        for template in json.loads(TEMPLATES.read_text()):
            self._store("/templates", template)
        definition = WORKFLOW.read_text()
        workflow = self._store("/workflows", {"definition": definition}, "outreach")
        run = self._user.post(f"/workflows/{workflow['id']}/execute", {"inputs": {"query": QUERY, "people": PEOPLE}})
        self._console.print(f"run {run['id']} started by user@acme, who may not send")
        self._wait(run["id"], ("waiting",))
        approval = next(each for each in self._admin.get("/approvals", status="pending")["items"]
                        if each["run_id"] == run["id"])  # fmt: skip
        self._console.print(f"waits for approval: {approval['title']}")
        first = self._admin.get(f"/drafts/{approval['drafts'][0]['draft_id']}")
        self._console.print(f"[dim]the first: {_plain(first['subject'])}[/]")
        self._admin.post(f"/approvals/{approval['id']}", {"decision": "approved", "comment": "Good to go."})
        self._console.print("approved by admin@acme")
        return self._wait(run["id"], ("succeeded",))

    def _store(self, path: str, body: dict[str, Any], name: str | None = None) -> dict[str, Any]:
        """POST it; where an earlier start made it, PUT a new version."""
        try:
            stored: dict[str, Any] = self._admin.post(path, body)
        except ApiError as error:
            if error.code != "conflict":
                raise
            wanted = name or body["name"]
            known = next(each for each in self._admin.get(path, limit=200)["items"] if each["name"] == wanted)
            stored = self._admin.put(f"{path}/{known['id']}", body)
        return stored

    def _wait(self, run_id: str, wanted: tuple[str, ...]) -> dict[str, Any]:
        ended = ("succeeded", "failed", "cancelled", "timed_out")
        run = wait_until(
            lambda: self._admin.get(f"/runs/{run_id}"), lambda seen: seen["status"] in (*wanted, *ended), 120
        )
        if run["status"] not in wanted:
            raise DemoFailed(f"the run is {run['status']}: {run['error']}")
        return dict(run)

    def _show_mail(self, run: dict[str, Any]) -> None:
        self._title("4. The mail that left")
        emails = [each for each in self._admin.get("/emails", limit=50)["items"] if each["run_id"] == run["id"]]
        sent = [each for each in emails if each["status"] in ("sent", "delivered")]
        suppressed = [each for each in emails if each["status"] == "suppressed"]
        left = wait_until(lambda: self._left(sent), lambda seen: len(seen) == len(sent), 20)
        if not left:
            raise DemoFailed(f"no mail left; the run's emails: {emails}")
        for raw in left[:1]:
            self._console.print(raw.decode(errors="replace").replace("\r\n", "\n"), markup=False, highlight=False)
        for raw in left[1:]:
            mail = message_from_bytes(raw, policy=default)
            self._console.print(f"… and to {mail['to']}: {mail['subject']}", markup=False, highlight=False)
        self._console.print(f"{len(left)} left, {len(suppressed)} suppressed and not sent")

    def _left(self, emails: Sequence[dict[str, Any]]) -> list[bytes]:
        """The raw mails of these emails, as the sink stored them."""
        wanted = {each["id"] for each in emails}
        stored = httpx.get(self._mail_url, timeout=10).json()
        found = [each["id"] for each in stored if each.get("tags", {}).get("email_id") in wanted]
        return [httpx.get(f"{self._mail_url}/{each}", timeout=10).content for each in found]

    def _show_steps(self, run: dict[str, Any]) -> None:
        self._title("5. What happened")
        table = Table("step", "item", "action", "status", "attempts", "took", box=None, header_style="bold")
        for step in run["steps"]:
            item = "" if step["item"] is None else str(step["item"])
            table.add_row(
                step["step"], item, step["action"], step["status"], str(step["attempts"]), f"{step['took_ms']} ms"
            )
        self._console.print(table)

    def _show_events(self, run: dict[str, Any]) -> None:
        events = wait_until(
            lambda: self._admin.get("/events", correlation_id=run["id"], limit=200)["items"],
            lambda seen: any(each["type"] == "run.succeeded" for each in seen),
            60,
        )
        counted: dict[str, int] = {}
        for event in reversed(events):
            counted[event["type"]] = counted.get(event["type"], 0) + 1
        self._console.print(
            "\nevents of the run: " + ", ".join(f"{kind} x{number}" for kind, number in counted.items())
        )

    def _title(self, text: str) -> None:
        self._console.print()
        self._console.rule(f"[bold]{text}", align="left")


def _plain(text: str) -> str:
    """Rich reads [brackets] as markup."""
    return text.replace("[", r"\[")
