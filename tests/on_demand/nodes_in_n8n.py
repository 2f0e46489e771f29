"""The nodes in a real n8n, against the deployed template. `make test-n8n-node` runs this; it installs n8n first.

n8n must not reach the platform's webhooks from here: their addresses are public ones. The tests post what the platform
would post, signed with the secret that n8n keeps.
"""

import json
import os
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from email_sender.adapters.web.webhook_signatures import StandardWebhooks
from local.client import ApiClient, wait_until
from local.layout import ROOT
from tests.conftest import Platform
from tests.e2e import api
from tests.fakes import mailboxes

N8N = Path(os.environ["N8N_FOLDER"]) / "node_modules/.bin"
PACKAGE = ROOT / "integrations/n8n-nodes-email-sender"
PORT = 15678
PUBLIC = "https://n8n.example.com/"
# Longer than n8n takes to begin to wait.
PAUSE = {"id": "pause", "uses": "wait", "with": {"seconds": 15}}
QUESTION = "whose plotter draws empty pages?"
CREDENTIAL = {"emailSenderApi": {"id": "credential1", "name": "Email Sender"}}


@dataclass
class N8n:
    home: Path
    environment: dict[str, str]

    def command(self, *arguments: str) -> str:
        result = subprocess.run(
            [N8N / "n8n", *arguments], env=self.environment, capture_output=True, text=True, timeout=280
        )
        assert result.returncode == 0, result.stdout[-3_000:] + result.stderr[-3_000:]
        return result.stdout

    def add(self, name: str, nodes: list[api.Json], connections: api.Json) -> str:
        """Store a workflow, and return its id."""
        workflow = {"id": uuid4().hex[:16], "name": name, "active": False, "nodes": nodes, "connections": connections}
        path = self.home / f"{name}.json"
        path.write_text(json.dumps([workflow | {"settings": {"executionOrder": "v1"}}]))
        self.command("import:workflow", f"--input={path}")
        return str(workflow["id"])

    def execute(self, name: str, nodes: list[api.Json], connections: api.Json) -> dict[str, list[Any]]:
        """Execute a workflow, and return the items that each node gave."""
        output = self.command("execute", f"--id={self.add(name, nodes, connections)}", "--rawOutput")
        # n8n prints more before and after the result.
        result = json.JSONDecoder().raw_decode(output, output.index("{"))[0]["data"]["resultData"]
        assert "error" not in result, result["error"]
        return {node: [item["json"] for item in runs[0]["data"]["main"][0]] for node, runs in result["runData"].items()}

    def query(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.home / ".n8n/database.sqlite", timeout=30)) as database:
            return database.execute(query, values).fetchall()

    def static_data(self, workflow_id: str, node: str) -> api.Json:
        ((text,),) = self.query("select staticData from workflow_entity where id = ?", workflow_id)
        return dict(json.loads(text or "{}").get(f"node:{node}", {}))


@pytest.fixture(scope="module")
def n8n(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> N8n:
    home = tmp_path_factory.mktemp("n8n")
    path = f"{N8N}:{os.environ['PATH']}"
    settings = {
        "N8N_USER_FOLDER": str(home), "N8N_PORT": str(PORT), "N8N_DIAGNOSTICS_ENABLED": "false",
        "N8N_VERSION_NOTIFICATIONS_ENABLED": "false", "N8N_TEMPLATES_ENABLED": "false", "WEBHOOK_URL": PUBLIC,
        "N8N_RUNNERS_ENABLED": "false", "N8N_LISTEN_ADDRESS": "127.0.0.1", "PATH": path, "HOME": str(home),
    }  # fmt: skip
    subprocess.run(["npm", "run", "build"], cwd=PACKAGE, check=True, capture_output=True, timeout=280)
    packed = subprocess.run(
        ["npm", "pack", "--pack-destination", home], cwd=PACKAGE, check=True, capture_output=True, text=True, timeout=60
    )
    nodes = home / ".n8n/nodes"
    nodes.mkdir(parents=True)
    (nodes / "package.json").write_text('{"name": "installed-nodes", "private": true}')
    archive = home / packed.stdout.strip().splitlines()[-1]
    subprocess.run(["npm", "install", "--legacy-peer-deps", archive], cwd=nodes, check=True, capture_output=True)
    own = N8n(home, {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | settings)
    admin = next(user for user in platform.users if user.username == "admin@acme")
    data = {"url": platform.cloud.api_url, "username": admin.username, "password": admin.password}
    credential = {"id": "credential1", "name": "Email Sender", "type": "emailSenderApi", "data": data}
    credentials = home / "credentials.json"
    credentials.write_text(json.dumps([credential]))
    own.command("import:credentials", f"--input={credentials}")
    return own


def node(name: str, kind: str, parameters: api.Json | None = None, **settings: Any) -> api.Json:
    own = not kind.startswith("n8n-nodes-base.")
    return {
        "id": uuid4().hex, "name": name, "type": f"n8n-nodes-email-sender.{kind}" if own else kind, "typeVersion": 1,
        "position": [0, 0], "parameters": parameters or {}, **({"credentials": CREDENTIAL} if own else {}), **settings,
    }  # fmt: skip


def chain(*names: str) -> api.Json:
    return {before: {"main": [[{"node": after, "type": "main", "index": 0}]]} for before, after in pairwise(names)}


@pytest.mark.timeout(900)
def test_the_actions_do_the_main_job(platform: Platform, n8n: N8n) -> None:
    admin = platform["admin@acme"]
    letter = mailboxes.HEADERS.replace(b"<one@", f"<{uuid4().hex}@".encode())
    api.import_mailbox(admin, mailboxes.mbox([letter + b"\nMy plotter draws empty pages. Who can help me?\n"]))
    contact = api.add_contact(admin)
    mail = admin.post("/workflows", {"definition": api.mail_workflow(api.add_template(admin)["id"], [contact["id"]])})
    first = n8n.execute(
        "actions",
        [
            node("Start", "n8n-nodes-base.manualTrigger"),
            node("Find", "emailSender", {"resource": "person", "operation": "find", "question": QUESTION, "limit": 3}),
            node(
                "Run", "emailSender",
                {"resource": "run", "operation": "start", "workflowId": mail["id"], "inputs": "{}"}, executeOnce=True,
            ),
            node("Get", "emailSender", {"resource": "run", "operation": "get", "runId": "={{ $json.id }}"}),
        ],
        chain("Start", "Find", "Run", "Get"),
    )  # fmt: skip
    assert "plotter" in first["Find"][0]["messages"][0]["message"]["passage"]["text"]
    (run,) = first["Run"]
    assert first["Get"][0]["id"] == run["id"]
    approval = api.wait_for_approval(admin, run["id"])
    second = n8n.execute(
        "approval",
        [
            node("Start", "n8n-nodes-base.manualTrigger"),
            node("List", "emailSender", {"resource": "approval", "operation": "getAll"}),
            node(
                "Decide", "emailSender",
                {"resource": "approval", "operation": "decide", "approvalId": approval["id"], "comment": "by n8n"},
                executeOnce=True,
            ),
        ],
        chain("Start", "List", "Decide"),
    )  # fmt: skip
    assert approval["id"] in [item["id"] for item in second["List"]]
    assert (second["Decide"][0]["status"], second["Decide"][0]["comment"]) == ("approved", "by n8n")
    assert api.wait_for_run(admin, run["id"])["status"] == "succeeded"
    assert [email["status"] for email in api.emails_of(admin, run["id"])]


def post(secret: str, url: str, event: api.Json) -> tuple[int, str]:
    """Post an event to n8n as the platform does, and return the status and the answer."""
    body = json.dumps(event)
    headers = dict(StandardWebhooks().headers(secret, uuid4().hex, body, datetime.now(UTC)))
    local_url = url.replace(PUBLIC, f"http://127.0.0.1:{PORT}/")
    answer = httpx.post(local_url, content=body, headers=headers | {"content-type": "application/json"}, timeout=60)
    return answer.status_code, answer.text


@pytest.fixture
def running(n8n: N8n) -> Iterator[str]:
    """n8n as a server, with a workflow that starts with our trigger and waits for the end of a run. Return its id."""
    workflow_id = n8n.add(
        "trigger",
        [
            node("Trigger", "emailSenderTrigger", {"types": [], "otherTypes": "LeadCreated"}, webhookId=str(uuid4())),
            node(
                "Wait", "emailSenderWait", {"event": "run", "runId": "={{ $json.data.run }}", "hours": 1},
                webhookId=str(uuid4()),
            ),
        ],
        chain("Trigger", "Wait"),
    )  # fmt: skip
    n8n.command("update:workflow", f"--id={workflow_id}", "--active=true")
    log = (n8n.home / "n8n.log").open("w")
    server = subprocess.Popen([N8N / "n8n", "start"], env=n8n.environment, stdout=log, stderr=log)
    try:
        yield workflow_id
    finally:
        server.terminate()
        server.wait(60)
        log.close()


@pytest.mark.timeout(900)
def test_a_trigger_starts_an_execution_that_waits_for_the_end_of_a_run(
    platform: Platform, n8n: N8n, running: str
) -> None:
    admin = platform["admin@acme"]

    def hooks() -> list[api.Json]:
        return [hook for hook in admin.get("/webhooks")["items"] if hook["url"].startswith(PUBLIC)]

    (trigger,) = wait_until(hooks, lambda found: len(found) == 1, 180)
    secret = wait_until(lambda: n8n.static_data(running, "Trigger"), lambda data: "secret" in data, 60)["secret"]
    other = ended_run(admin)
    run = api.start_run(admin, {"name": f"w-{uuid4().hex}", "steps": [PAUSE]})
    event = {"type": "LeadCreated", "data": {"run": run["id"]}}
    wrong = StandardWebhooks().new_secret()
    assert_status(401, post(wrong, trigger["url"], event))
    assert_status(200, post(secret, trigger["url"], event))

    (waiting,) = wait_until(
        lambda: [hook for hook in hooks() if hook["id"] != trigger["id"]], lambda found: len(found) == 1, 60
    )

    def statuses() -> list[str]:
        return [status for (status,) in n8n.query("select status from execution_entity where workflowId = ?", running)]

    wait_until(statuses, lambda found: found == ["waiting"], 30)
    invented = other | {"data": {"run_id": run["id"]}}
    assert_status(404, post(wrong, waiting["url"], invented))
    assert statuses() == ["waiting"]
    ended = end_of(admin, run["id"])
    assert_status(401, post(wrong, waiting["url"].replace("signature=", "signature=0"), ended))
    assert_status(200, post(wrong, waiting["url"], other))
    time.sleep(2)
    assert statuses() == ["waiting"]
    assert_status(200, post(wrong, waiting["url"], ended))
    wait_until(statuses, lambda found: found == ["success"], 60)
    # The webhook of the wait is gone.
    assert [hook["id"] for hook in hooks()] == [trigger["id"]]
    # A run that ended before is not waited for.
    assert_status(200, post(secret, trigger["url"], {**event, "data": {"run": other["correlation_id"]}}))
    wait_until(statuses, lambda found: found == ["success"] * 2, 60)
    assert [hook["id"] for hook in hooks()] == [trigger["id"]]


def ended_run(admin: ApiClient) -> api.Json:
    """Run a workflow, and return the event of its end as the platform posts it."""
    run = api.start_run(
        admin, {"name": f"w-{uuid4().hex}", "steps": [{"id": "a", "uses": "transform", "with": {"n": 1}}]}
    )
    return end_of(admin, run["id"])


def end_of(admin: ApiClient, run_id: str) -> api.Json:
    """Wait for the end of a run, and return its event as the platform posts it."""
    (event,) = [e for e in api.wait_for_events(admin, run_id, "run.succeeded") if e["type"] == "run.succeeded"]
    body = {name: event[name] for name in ("id", "type", "source", "correlation_id")}
    return body | {"data": event["payload"]["data"], "timestamp": event["occurred_at"]}


def assert_status(status: int, answer: tuple[int, str]) -> None:
    assert answer[0] == status, answer
