"""The Python client and its command line, on the deployed template."""

import asyncio
import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from email_sender_client import ApiError, AsyncClient, Client, models
from tests.conftest import Platform
from tests.e2e import api
from tests.fakes import mailboxes

QUESTION = "who could not get their printer to work?"


def signed_in(platform: Platform, username: str, **options: Any) -> Client:
    user = next(user for user in platform.users if user.username == username)
    return Client.signed_in(platform.cloud.api_url, user.username, user.password, **options)


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mailbox") / "archive.mbox"
    letters = {
        "ada": "My printer does not work: it prints empty pages only. Who can help me to get it to work?",
        "bob": "The recipe of the cake is attached.",
        "cem": "Shall we meet on Tuesday for lunch?",
    }
    raw = [
        mailboxes.HEADERS.replace(b"Ada Byron <ada@", f"{name.title()} <{name}.client@".encode()).replace(
            b"<one@", f"<{uuid4().hex}@".encode()
        )
        + f"\n{text}\n".encode()
        for name, text in letters.items()
    ]
    path.write_bytes(mailboxes.mbox(raw))
    return path


def test_a_mailbox_is_uploaded_with_progress_and_its_people_are_found(platform: Platform, mailbox: Path) -> None:
    sent: list[tuple[int, int]] = []
    size = mailbox.stat().st_size
    with signed_in(platform, "user@acme") as client:
        import_id = client.upload_mailbox(mailbox, progress=lambda done, all_bytes: sent.append((done, all_bytes)))
        done = client.wait_for_import(import_id, seconds=90)
        people = client.find_people(QUESTION, limit=3)
    assert (done.status, sent[-1]) == ("completed", (size, size))
    assert people
    contact, group = people[0]
    assert contact.email.endswith("@sender.example")
    assert group.hits[0].message is not None
    assert group.hits[0].message.passage is not None
    assert "empty pages" in group.hits[0].message.passage.text


def test_a_run_is_followed_to_its_approval_and_to_its_end(platform: Platform) -> None:
    admin = platform["admin@acme"]
    definition = api.mail_workflow(api.add_template(admin)["id"], [api.add_contact(admin)["id"]])

    async def outreach() -> tuple[str, str, list[models.Email]]:
        account = next(user for user in platform.users if user.username == "admin@acme")
        async with await AsyncClient.signed_in(platform.cloud.api_url, account.username, account.password) as client:
            workflow = await client.create_workflow({"definition": definition})
            run = await client.start_run(workflow.id, {"inputs": {}})
            waiting = await client.wait_for_run(run.id, seconds=60, until_waiting=True)
            approvals = [item async for item in client.iterate_approvals(status="pending")]
            approval = next(item for item in approvals if item.run_id == run.id)
            await client.decide_approval(approval.id, {"decision": "approved"})
            ended = await client.wait_for_run(run.id, seconds=60)
            return waiting.status, ended.status, [item async for item in client.iterate_emails(run_id=run.id)]

    # The browser of other tests has a loop in this thread.
    with ThreadPoolExecutor(1) as pool:
        waiting, ended, emails = pool.submit(lambda: asyncio.run(outreach())).result()
    assert (waiting, ended, len(emails)) == ("waiting", "succeeded", 1)


def test_a_repeated_key_gives_the_first_answer_and_an_error_names_its_place(platform: Platform) -> None:
    with signed_in(platform, "user@acme") as client:
        body = models.ContactIn(email=f"{uuid4().hex}@people.example")
        ids = {client.create_contact(body, idempotency_key="k" + body.email).id for _ in range(2)}
        assert len(ids) == 1
        with pytest.raises(ApiError) as error:
            client.create_contact({"email": "nobody"})
    assert (error.value.status, list(error.value.problems)) == (422, ["/email"])
    assert error.value.request_id


def test_every_page_is_read(platform: Platform) -> None:
    with signed_in(platform, "readonly@acme") as client:
        first = client.list_contacts(limit=1)
        assert first.next_cursor
        ids = [contact.id for contact in client.iterate_contacts()]
    assert len(ids) == len(set(ids)) > 1


class CommandLine:
    def __init__(self, folder: Path) -> None:
        self.session = folder / "session.json"

    def __call__(self, *arguments: str, code: int = 0, **environment: str) -> str:
        own = {"EMAIL_SENDER_SESSION": str(self.session), "COLUMNS": "200", "PYTHONPATH": os.pathsep.join(sys.path)}
        result = subprocess.run(
            [sys.executable, "-m", "email_sender_client.cli", *arguments],
            env=os.environ | own | environment, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert result.returncode == code, (result.stdout, result.stderr)
        return result.stdout if code == 0 else result.stderr

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json"))


def test_the_main_job_on_the_command_line(platform: Platform, tmp_path: Path, mailbox: Path) -> None:
    run = CommandLine(tmp_path)
    assert "email-sender login" in run("find", "x", code=1)
    user = next(user for user in platform.users if user.username == "admin@acme")
    wrong = run("login", platform.cloud.api_url, "--user", user.username, code=1, EMAIL_SENDER_PASSWORD="wrong")
    assert "password" in wrong.lower()
    run("login", platform.cloud.api_url, "--user", user.username, EMAIL_SENDER_PASSWORD=user.password)
    assert stat.S_IMODE(run.session.stat().st_mode) == 0o600

    assert run.json("import", str(mailbox))["status"] == "completed"
    person = run.json("find", QUESTION, "--limit", "3")[0]
    assert person["messages"]
    assert person["contact"]["email"] in run("find", QUESTION)

    template = api.add_template(platform["admin@acme"])["id"]
    workflow = tmp_path / "workflow.yaml"
    workflow.write_text(yaml.safe_dump(api.mail_workflow(template, [person["contact"]["id"]])))
    run("run", str(workflow), "--no-wait")
    # The same file again changes the same workflow.
    started = run.json("run", str(workflow))
    (approval,) = started["approvals"]
    assert started["run"]["status"] == "waiting"
    assert approval["id"] in run("approve")
    assert run.json("approve", approval["id"], "--yes")["status"] == "approved"
    with signed_in(platform, "readonly@acme") as client:
        assert client.wait_for_run(started["run"]["id"], seconds=60).status == "succeeded"
    assert "approval.decided" in run("tail", "--no-follow", "-n", "200")

    run("logout")
    assert not run.session.exists()
