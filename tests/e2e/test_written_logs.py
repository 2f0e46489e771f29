"""What all functions wrote to their logs during the tests before this one: ids, never personal data or secrets.

The name of this file is the last one, so that the logs of every other file are there.
"""

import ast
import json
import mailbox
import re
import time
from collections.abc import Iterator
from contextlib import closing
from email.header import decode_header, make_header
from email.utils import parseaddr
from typing import Any
from uuid import uuid4

import pytest

from local.client import wait_until
from local.layout import ROOT
from tests.conftest import Platform
from tests.e2e import api

AREAS = ("gateway", "vectors", "coordinator", "workflows", "messaging")
# A word that logs contain anyway is no leak.
MIN_LENGTH = 8


@pytest.fixture(scope="module")
def lines(platform: Platform) -> list[str]:
    """All log lines, after an import and a run that sends an email."""
    client, started = platform["admin@acme"], time.time()
    api.import_mailbox(client, api.MAILBOX.read_bytes(), "logs.mbox")
    contact, template = api.add_contact(client), api.add_template(client)
    definition = api.mail_workflow(template["name"], [contact["id"]], approval=False)
    workflow = client.post("/workflows", {"definition": definition})
    run = client.post(f"/workflows/{workflow['id']}/execute", {"inputs": {}})
    api.wait_for_run(client, run["id"], "succeeded")
    email = client.get("/emails", run_id=run["id"])["items"][0]
    wait_until(lambda: client.get(f"/emails/{email['id']}")["status"], lambda status: status == "delivered", 30)
    # A request that is rejected is logged, with its own keys.
    assert client.http.get(f"/contacts/{uuid4()}").status_code == 404
    # The emulator lists the first 10,000 lines of a group, and earlier tests may have written more.
    return [line for area in AREAS for since in (0, started) for line in read_lines(platform, area, since)]


def read_lines(platform: Platform, area: str, since: float = 0) -> Iterator[str]:
    """Yield the lines of an area's functions since a time in seconds."""
    pages = platform.aws("logs").get_paginator("filter_log_events")
    for page in pages.paginate(logGroupName=f"/email-sender/local/{area}", startTime=int(since * 1000)):
        yield from (event["message"] for event in page["events"])


def personal_data(platform: Platform) -> set[str]:
    """Return addresses, names and subjects of the test mailbox and of every contact, and all secrets."""
    found: set[str] = set()
    with closing(mailbox.mbox(api.MAILBOX, create=False)) as messages:
        headers = [(str(message["from"]), str(message["subject"] or "")) for message in messages]
    for sender, subject in headers:
        name, address = parseaddr(sender)
        found |= {name, address, str(make_header(decode_header(subject)))}
    for username in ("admin@acme", "admin@globex"):
        for contact in platform[username].get("/contacts", limit=100)["items"]:
            found |= {contact["email"], contact["name"] or ""}
    for user in platform.users:
        found.add(user.password)
    return {text for text in found if len(text) >= MIN_LENGTH}


def documents(lines: list[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if line.startswith("{"):
            yield json.loads(line)


def test_logs_have_no_personal_data(platform: Platform, lines: list[str]) -> None:
    searched = personal_data(platform)
    assert len(lines) > 500
    assert len(searched) > 200
    text = "\n".join(lines)
    assert [item for item in searched if item in text] == []


def test_logs_have_no_tokens_or_addresses(lines: list[str]) -> None:
    token, address = re.compile(r"eyJ[\w-]{10,}\.[\w-]{10,}"), re.compile(r"[\w.+-]+@[\w-]+\.(?:example|com|org|net)\b")
    # A traceback shows the line of our code that has this example.
    own = [line.replace("hello@studio.example", "") for line in lines]
    leaks = [line[:300] for line in own if token.search(line) or address.search(line)]
    assert leaks == []


def test_lines_of_the_logger_have_one_shape(lines: list[str]) -> None:
    logged = [line for line in documents(lines) if "level" in line]
    assert logged
    for line in logged:
        assert {"level", "message", "timestamp", "service", "location", "function_request_id"} <= set(line), line
        assert line["level"] in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
        for key in ("tenant_id", "run_id"):
            assert re.fullmatch(r"[0-9a-f-]{36}", str(line.get(key, "0" * 36))), line


def test_the_export_renames_keys_that_logs_have(lines: list[str]) -> None:
    pipeline = json.loads((ROOT / "docs/opensearch/pipeline.json").read_text())
    renamed = {step["rename"]["field"] for step in pipeline["processors"] if "rename" in step}
    # Only a line about an error has these two, and a request or a task adds its keys only if it logs something.
    rare = {"exception", "exception_name"} | appended_keys()
    assert renamed - rare <= {key for line in documents(lines) for key in line}


def appended_keys() -> set[str]:
    """Return the keys that our code adds to the lines of a request or a task."""
    sources = [ROOT / "layers/common/python/email_sender", ROOT / "functions"]
    trees = [ast.parse(path.read_text()) for source in sources for path in source.rglob("*.py")]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {
        str(keyword.arg)
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr in ("append_keys", "set_correlation_id")
        for keyword in call.keywords
    }


def test_operators_change_the_level_of_all_functions_at_once(platform: Platform) -> None:
    operator, client = platform["operator@platform"], platform["user@acme"]
    assert operator.get("/log-level") == {"level": None, "until": None}
    changed_at = time.time()
    changed = operator.put("/log-level", {"level": "DEBUG", "minutes": 10})
    assert operator.get("/log-level") == changed

    def answered() -> bool:
        client.get("/templates")
        return any(
            '"request answered"' in line and "/api/v1/templates" in line
            for line in read_lines(platform, "messaging", changed_at)
        )

    wait_until(answered, bool, 60)
    operator.put("/log-level", {"level": "INFO", "minutes": 1})
    assert platform["admin@acme"].http.put("/log-level", json={"level": "DEBUG"}).status_code == 403
    assert operator.http.put("/log-level", json={"level": "LOUD"}).status_code == 422
    entries = operator.get("/audit", limit=5)["items"]
    assert [entry["action"] for entry in entries].count("log_level.changed") == 2
