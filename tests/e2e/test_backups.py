"""A backup of the deployed template under load, and its restore into a second local cloud that is empty."""

import gzip
import json
import os
import threading
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from local.backup import BackupFailed, back_up
from local.client import ApiClient, wait_until
from local.layout import Layout
from local.restoring import NotRestorable
from local.restoring.files import BackupFolder
from local.restoring.restore import restore
from tests.conftest import Platform, start_platform
from tests.e2e import steps
from tests.fakes import mailboxes

PORTS = {
    "api": 38080, "aws": 34566, "postgres": 35432, "qdrant": 36333, "qdrant-grpc": 36334, "mail": 38025, "smtp": 31025,
}  # fmt: skip
SIZE = 768
FIRST = 9_000_000
COLLECTION = "document_vectors"

type Json = dict[str, Any]


def vector(number: int) -> list[float]:
    return [1.0 if each == number % SIZE else 0.0 for each in range(SIZE)]


class Load(threading.Thread):
    """Publishes events and inserts points until it is over; what is in the lists was acknowledged."""

    def __init__(self, client: ApiClient) -> None:
        super().__init__(daemon=True)
        self._client = client
        self.events: list[str] = []
        self.points: list[int] = []
        self.refused: set[int] = set()
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            number = len(self.points)
            points = [{"id": FIRST + number, "vector": vector(number), "payload": {"backed": True, "backed_n": number}}]
            body = {"collection": COLLECTION, "points": points}
            if self._is_taken(self._client.http.post("/vectors/insert", json=body)):
                self.points.append(number)
            event = f"backup.{uuid4().hex}"
            said = {"source": "crm", "type": event, "data": {"n": number}}
            if self._is_taken(self._client.http.post("/events", json=said)):
                self.events.append(event)

    def _is_taken(self, answer: httpx.Response) -> bool:
        if answer.is_error:
            self.refused.add(answer.status_code)
        return answer.is_success


def endpoints_of(platform: Platform) -> Json:
    return dict(json.loads(platform.cloud.layout.endpoints.read_text()))


def stored(client: ApiClient, numbers: list[int]) -> set[int]:
    found: set[int] = set()
    for first in range(0, max(numbers) + 1, 100):
        wanted = {
            "must": [
                {"key": "backed", "match": {"value": True}},
                {"key": "backed_n", "range": {"gte": first, "lt": first + 100}},
            ]
        }
        asked = {"collection": COLLECTION, "vector": vector(first), "filter": wanted, "limit": 100, "exact": True}
        found |= {hit["id"] - FIRST for hit in client.post("/vectors/search", asked)["results"]}
    return found


def mailbox(count: int) -> bytes:
    """Of messages that no other test imports."""
    return mailboxes.ordinary(count).replace(b"<", b"<backed-up-")


# FULL=1 starts the whole of the second cloud, too, and uses it.
FULL = bool(os.environ.get("FULL"))


def test_a_backup_under_load_comes_back_in_another_cloud(
    platform: Platform, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    admin = platform["admin@acme"]
    steps.import_mailbox(admin, mailbox(12))
    contact = steps.add_contact(admin, "Ada Restored")
    load = Load(admin)
    load.start()
    try:
        wait_until(lambda: len(load.events), lambda seen: seen >= 5, 30)
        content = mailbox(60)
        running = platform["admin@globex"].post("/vectors/imports", {"file_name": "b.mbox", "size_bytes": len(content)})
        httpx.put(running["upload"]["url"], content=content, timeout=60).raise_for_status()
        before = (list(load.events), list(load.points))
        folder = back_up(endpoints_of(platform), tmp_path, print)
        during = len(load.events)
    finally:
        load.over.set()
        load.join(30)
    assert during > len(before[0])
    # An engine that is busy says so.
    assert load.refused <= {503}

    manifest = BackupFolder(folder).manifest()
    home = Layout(tmp_path_factory.mktemp("restored"))
    with pytest.raises(NotRestorable, match="put that key there, or name it"):
        restore(str(folder), home, None, print)
    key = str(platform.cloud.layout.key_file)
    assert restore(str(folder), home, key, print) == manifest
    (row,) = platform.look("select * from email_sender.backups where id = %s", manifest.backup_id)
    assert (row["status"], row["manifest"]["collections"][COLLECTION]["points"]) == (
        "completed", manifest.collections[COLLECTION].points,
    )  # fmt: skip

    # What was acknowledged before it was begun is in it.
    dumped = b"".join(gzip.decompress(each.read_bytes()) for each in folder.rglob("*.gz"))
    assert [kind for kind in before[0] if kind.encode() not in dumped] == []
    with pytest.raises(NotRestorable, match="There is data in"):
        restore(str(folder), home, None, print)
    if not FULL:
        # What is there was compared with the manifest, row by row and point by point, by the restore itself.
        return
    second = start_platform(home.home, PORTS)
    try:
        # All that was acknowledged before it was begun; of what came meanwhile, some.
        client = second["admin@acme"]
        points = stored(client, load.points)
        assert set(before[1]) <= points <= set(load.points)
        published = second.look("select type from email_sender.events union select type from email_sender.outbox")
        types = {each["type"] for each in published}
        assert set(before[0]) <= types
        # Addresses are read, so the keys are right; messages are found, so the vectors are.
        assert client.get(f"/contacts/{contact['id']}")["email"] == contact["email"]
        found = client.post(
            "/vectors/search", {"collection": "message_vectors", "text": "message number 3", "limit": 3}
        )
        assert len(found["results"]) == 3
        # And it goes on.
        client.post("/events", {"source": "crm", "type": "backup.after", "data": {}})
    finally:
        for each in second.clients.values():
            each.close()
        second.cloud.stop()


def test_a_backup_that_cannot_be_made_says_so_and_leaves_no_manifest(platform: Platform, tmp_path: Path) -> None:
    with psycopg.connect(platform.cloud.database_url, autocommit=True) as conn:
        conn.execute("revoke select on email_sender.threads from backup")
        try:
            with pytest.raises(BackupFailed, match="its row says why"):
                back_up(endpoints_of(platform), tmp_path, print)
        finally:
            conn.execute("grant select on email_sender.threads to backup")
    last = platform.look("select * from email_sender.backups order by started_at desc limit 1")[0]
    assert (last["status"], last["reason"]) == ("failed", "A fault of ours, whose details are in the logs.")
    bucket, _, prefix = last["location"].removeprefix("s3://").partition("/")
    listed = platform.aws("s3").list_objects_v2(Bucket=bucket, Prefix=prefix)
    assert [each["Key"] for each in listed.get("Contents", []) if each["Key"].endswith("manifest.json")] == []
