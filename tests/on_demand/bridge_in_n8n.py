"""The n8n half of a bridge in a real n8n: it gets items, runs the nodes, and posts the answer.

`make test-n8n` runs this; it installs n8n first. All nodes here work without a network.
"""

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from email_sender.adapters.documents.jsonata_expressions import JsonataExpressions
from email_sender.workflows.n8n.bridge import HEADER, BridgeTarget
from email_sender.workflows.n8n.converter import Converter
from email_sender.workflows.n8n.export import read_export
from local.client import wait_until
from tests.unit.workflows.n8n.samples import connections_to, export, node

N8N = Path(os.environ["N8N_FOLDER"]) / "node_modules/.bin"
PORT, BROKER_PORT = 15_678, 15_679
KEY = "a key of this test"

MARKDOWN = node(
    "Markdown", "markdown", {"mode": "markdownToHtml", "markdown": "={{ $json.m }}", "destinationKey": "html"}
)
FILE = node("File", "convertToFile", {"operation": "csv", "options": {"headerRow": True}}) | {"typeVersion": 1.1}
ROWS = node("Rows", "extractFromFile", {"operation": "csv", "options": {}})
COMPARED = {"mergeByFields": {"values": [{"field1": "id", "field2": "id"}]}, "resolve": "preferInput1", "options": {}}
LAST = node("Last", "noOp")
LOOP = node("Loop", "splitInBatches") | {"typeVersion": 3}
COMPARE = node("Compare", "compareDatasets", COMPARED) | {"typeVersion": 2.3}

BRIDGED = ("compareDatasets", "convertToFile", "extractFromFile", "markdown", "splitInBatches")

# The nodes, the items of the nodes before, and the first answer that n8n posts.
CASES: dict[str, tuple[dict[str, Any], dict[str, list[Any]], Any]] = {
    "an item each": (
        export(MARKDOWN, LAST),
        {"People": [{"m": "# One"}, {"m": "*two*"}]},
        {"result": {"markdown_0": [
            {"m": "# One", "html": '<h1 id="one">One</h1>'}, {"m": "*two*", "html": "<p><em>two</em></p>"},
        ]}},
    ),
    "a file between two nodes": (
        export(FILE, ROWS, LAST),
        {"People": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]},
        # n8n writes a byte order mark, and reads it as a part of the first name.
        {"result": {"rows_0": [{"\ufeffa": "1", "b": "x"}, {"\ufeffa": "2", "b": "y"}]}},
    ),
    "a node that fails": (
        export(ROWS, LAST),
        {"People": [{"a": 1}]},
        {"error": "This operation expects the node's input data to contain a binary file 'data', but none was found "
         "[item 0]"},
    ),
    "several outputs": (
        export(
            node("Other", "noOp"), COMPARE, LAST,
            connections={"People": connections_to(["Other", "Compare"]), "Other": connections_to("Compare/1"),
                         "Compare": connections_to("", "", "", "Last")},
        ),
        {"People": [{"id": 1}, {"id": 2}], "Other": [{"id": 2}, {"id": 3}]},
        {"result": {"compare_3": [{"id": 3}]}},
    ),
    "a loop": (
        export(LOOP, MARKDOWN, LAST,
               connections={"Loop": connections_to("Last", "Markdown"), "Markdown": connections_to("Loop")}),
        {"People": [{"m": "*1*"}, {"m": "*2*"}]},
        {"result": {"loop_0": [{"m": "*1*", "html": "<p><em>1</em></p>"}, {"m": "*2*", "html": "<p><em>2</em></p>"}]}},
    ),
    "a loop of 1200 runs": (
        export(LOOP, MARKDOWN, LAST,
               connections={"Loop": connections_to("Last", "Markdown"), "Markdown": connections_to("Loop")}),
        {"People": [{"m": "x"}] * 1_200},
        {"result": {"loop_0": [{"m": "x", "html": "<p>x</p>"}] * 1_200}},
    ),
    "no items": (export(MARKDOWN, LAST), {"People": []}, {"result": {"markdown_0": []}}),
}  # fmt: skip


class Answers:
    """The server behind the callback URLs. It keeps the first answer to each."""

    def __init__(self) -> None:
        answers: dict[str, Any] = {}

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                answers.setdefault(self.path.removeprefix("/"), body)
                self.send_response(202)
                self.end_headers()

            def log_message(self, *_arguments: object) -> None: ...

        self.answers = answers
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/{name}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def running_n8n(home: Path, workflows: list[dict[str, Any]]) -> Iterator[None]:
    environment = os.environ | {
        "PATH": f"{N8N.parent}/node/bin:{os.environ['PATH']}", "N8N_USER_FOLDER": str(home), "N8N_PORT": str(PORT),
        "N8N_LISTEN_ADDRESS": "127.0.0.1", "N8N_RUNNERS_BROKER_PORT": str(BROKER_PORT),
        "N8N_DIAGNOSTICS_ENABLED": "false", "N8N_VERSION_NOTIFICATIONS_ENABLED": "false",
    }  # fmt: skip

    def command(*arguments: str) -> None:
        result = subprocess.run([N8N / "n8n", *arguments], env=environment, capture_output=True, text=True, timeout=280)
        assert result.returncode == 0, result.stdout[-3_000:] + result.stderr[-3_000:]

    credential = {"id": "email-sender", "name": "Email Sender", "type": "httpHeaderAuth"}
    (home / "credentials.json").write_text(json.dumps([credential | {"data": {"name": HEADER, "value": KEY}}]))
    (home / "workflows.json").write_text(json.dumps(workflows))
    command("import:credentials", f"--input={home / 'credentials.json'}")
    command("import:workflow", f"--input={home / 'workflows.json'}")
    for workflow in workflows:
        command("publish:workflow", f"--id={workflow['id']}")
    with (home / "log").open("w") as log:
        process = subprocess.Popen([N8N / "n8n", "start"], env=environment, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)


def post(url: str, body: dict[str, Any], key: str) -> int:
    """Post until n8n has registered its webhooks. While it starts, it answers with pages, or with 404."""
    for _ in range(240):
        with suppress(httpx.HTTPError):
            response = httpx.post(url, json=body, headers={HEADER: key}, timeout=60)
            if response.status_code != 404 and "text/html" not in response.headers.get("content-type", ""):
                return response.status_code
        time.sleep(0.5)
    raise AssertionError(f"n8n did not register {url}.")


@pytest.mark.timeout(900)
def test_every_case_is_answered_by_n8n(tmp_path: Path) -> None:
    workflows: list[dict[str, Any]] = []
    steps: dict[str, Any] = {}
    for name, (raw, _, _) in CASES.items():
        target = BridgeTarget(f"http://127.0.0.1:{PORT}", "n8n")
        # Nodes that run here, too, stand for those that only n8n has: their results are known.
        exported = read_export({**raw, "name": name})
        bridged = {one.name for one in exported.nodes.values() if one.type in BRIDGED}
        result = Converter(exported, JsonataExpressions(), target, bridged).convert()
        (workflow,) = result.n8n_workflows
        (steps[name],) = (step for step in result.definition["steps"] if step["uses"] == "http.wait_for_callback")
        workflows.append({**workflow, "id": f"half{len(workflows)}", "active": False})
    with Answers() as server, running_n8n(tmp_path, workflows):
        for name, (_, given, _) in CASES.items():
            url = steps[name]["with"]["url"]
            entries = [{"node": node_name, "outputs": [items]} for node_name, items in given.items()]
            body = {"given": entries, "callback_url": server.url(name.replace(" ", "-"))}
            assert post(url, body, "a wrong key") == 403
            assert post(url, body, KEY) == 200
        wait_until(lambda: len(server.answers), lambda count: count == len(CASES), 120)
    expected = {name.replace(" ", "-"): answer for name, (_, _, answer) in CASES.items()}
    assert server.answers == expected
