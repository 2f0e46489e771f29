"""Killed and started again: every stored fact is still there."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from local.client import ApiClient, ApiError
from tests.conftest import Platform, start_platform
from tests.e2e import steps
from tests.fakes import mailboxes

PORTS = {
    "api": 28080, "aws": 24566, "postgres": 25432, "qdrant": 26333, "qdrant-grpc": 26334, "mail": 28025, "smtp": 21025,
}  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("restarted")


@pytest.fixture(scope="module")
def own(home: Path) -> Iterator[Platform]:
    started = start_platform(home, PORTS)
    yield started
    for client in started.clients.values():
        client.close()
    started.cloud.stop()


def kill(platform: Platform, part: str) -> None:
    os.kill(platform.cloud.pid(part), signal.SIGKILL)


def facts(client: ApiClient) -> tuple[int, int, list[str]]:
    """Contacts, points, and what a search finds."""
    contacts = client.get("/contacts", limit=200)["items"]
    points = next(each for each in client.get("/vectors/collections")["items"] if each["name"] == "message_vectors")
    found = client.post("/vectors/search", {"collection": "message_vectors", "text": "message number 3", "limit": 3})
    return len(contacts), points["count"], [hit["id"] for hit in found["results"]]


def come_back(platform: Platform, wanted: tuple[int, int, list[str]], seconds: float = 120) -> None:
    """Sign in anew until the facts are what they were: where AWS was killed, passwords are new."""
    deadline = time.monotonic() + seconds
    while (seen := look(platform)) != wanted:
        assert time.monotonic() < deadline, (seen, wanted)
        time.sleep(1)


def look(platform: Platform) -> tuple[int, int, list[str]] | None:
    user = next(user for user in platform.cloud.users if user.username == "admin@acme")
    client = None
    try:
        client = ApiClient.sign_in(platform.api, user.username, user.password)
        return facts(client)
    except (ApiError, httpx.HTTPError):
        return None
    finally:
        if client is not None:
            client.close()


def test_any_part_may_be_killed(own: Platform, home: Path) -> None:
    admin = own["admin@acme"]
    done = steps.import_mailbox(admin, mailboxes.ordinary(12))
    assert done["progress"]["stored"] == 12
    template = steps.add_template(admin)["name"]
    contact = steps.add_contact(admin)
    run = steps.start(admin, steps.letter(template, [contact["id"]]))
    steps.pending_approval(admin, run["id"])
    before = facts(admin)
    assert before[1] == 12
    assert len(before[2]) == 3

    for part in ("postgres", "qdrant", "mail_sink"):
        kill(own, part)
        come_back(own, before)

    kill(own, "aws")
    come_back(own, before)
    user = next(user for user in own.cloud.users if user.username == "admin@acme")
    again = ApiClient.sign_in(own.api, user.username, user.password)
    # The engine forgot the run with everything else; the sweep says so, and no run is stuck.
    ended = steps.wait_run(again, run["id"], seconds=150)
    again.close()
    assert ended["status"] == "failed"
    assert "no longer knows" in ended["error"]["message"]

    own.cloud.stop()
    second = start_platform(home, PORTS)
    try:
        assert facts(second["admin@acme"]) == before
        workflow = run["workflow_id"]
        # Its machine was registered at an engine that is gone: starting a run registers it again.
        renewed = second["admin@acme"].post(f"/workflows/{workflow}/execute", {"inputs": {}})
        steps.decide(second["admin@acme"], renewed["id"], "approved")
        assert steps.wait_run(second["admin@acme"], renewed["id"])["status"] == "succeeded"
    finally:
        for client in second.clients.values():
            client.close()
        second.cloud.stop()
