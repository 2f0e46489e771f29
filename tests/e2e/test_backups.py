"""A backup of the deployed template under load, restored into a second, empty local cloud."""

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

from email_sender.backups.model import NotRestorable
from local.backup_command import BackupFailed, back_up
from local.backups.backup_folder import BackupFolder
from local.backups.restore_workflow import restore
from local.client import ApiClient, wait_until
from local.layout import Layout, ports_above
from tests.conftest import Platform, start_platform
from tests.e2e import api
from tests.fakes import mailboxes

PORTS = ports_above(18_000)
SIZE = 768
FIRST = 9_000_000
COLLECTION = "document_vectors"

type Json = dict[str, Any]


def vector(number: int) -> list[float]:
    return [1.0 if index == number % SIZE else 0.0 for index in range(SIZE)]


class BackgroundLoad(threading.Thread):
    """Publish events and insert points until stopped. The lists hold what was acknowledged."""

    def __init__(self, client: ApiClient) -> None:
        super().__init__(daemon=True)
        self._client = client
        self.events: list[str] = []
        self.points: list[int] = []
        self.refused: set[int] = set()
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.is_set():
            number = len(self.points)
            points = [{"id": FIRST + number, "vector": vector(number), "payload": {"backed": True, "backed_n": number}}]
            body = {"collection": COLLECTION, "points": points}
            if self._is_accepted(self._client.http.post("/vectors/insert", json=body)):
                self.points.append(number)
            event_type = f"backup.{uuid4().hex}"
            event_body = {"source": "crm", "type": event_type, "data": {"n": number}}
            if self._is_accepted(self._client.http.post("/events", json=event_body)):
                self.events.append(event_type)

    def _is_accepted(self, response: httpx.Response) -> bool:
        if response.is_error:
            self.refused.add(response.status_code)
        return response.is_success


def endpoints_of(platform: Platform) -> Json:
    return dict(json.loads(platform.cloud.layout.endpoints.read_text()))


def stored_numbers(client: ApiClient, numbers: list[int]) -> set[int]:
    point_numbers: set[int] = set()
    for first in range(0, max(numbers) + 1, 100):
        point_filter = {
            "must": [
                {"key": "backed", "match": {"value": True}},
                {"key": "backed_n", "range": {"gte": first, "lt": first + 100}},
            ]
        }
        query = {"collection": COLLECTION, "vector": vector(first), "filter": point_filter, "limit": 100, "exact": True}
        point_numbers |= {hit["id"] - FIRST for hit in client.post("/vectors/search", query)["results"]}
    return point_numbers


def unique_mailbox(count: int) -> bytes:
    """Return a mailbox of messages that no other test imports."""
    return mailboxes.ordinary(count).replace(b"<", b"<backed-up-")


# FULL=1 also starts the complete second cloud and uses it.
FULL = bool(os.environ.get("FULL"))


def test_a_backup_taken_under_load_is_restored_into_another_cloud(
    platform: Platform, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    admin = platform["admin@acme"]
    api.import_mailbox(admin, unique_mailbox(12))
    contact = api.add_contact(admin, "Ada Restored")
    load = BackgroundLoad(admin)
    load.start()
    try:
        wait_until(lambda: len(load.events), lambda count: count >= 5, 30)
        content = unique_mailbox(60)
        running_import = platform["admin@globex"].post(
            "/vectors/imports", {"file_name": "b.mbox", "size_bytes": len(content)}
        )
        httpx.put(running_import["upload"]["url"], content=content, timeout=60).raise_for_status()
        before = (list(load.events), list(load.points))
        folder = back_up(endpoints_of(platform), tmp_path, print)
        events_after_backup = len(load.events)
    finally:
        load.stop.set()
        load.join(30)
    assert events_after_backup > len(before[0])
    # Only a busy engine may refuse a write.
    assert load.refused <= {503}

    manifest = BackupFolder(folder).manifest()
    home = Layout(tmp_path_factory.mktemp("restored"))
    with pytest.raises(NotRestorable, match="put that key there, with the folder"):
        restore(str(folder), home, None, print)
    key = str(platform.cloud.layout.key_file)
    assert restore(str(folder), home, key, print) == manifest
    (row,) = platform.query("select * from email_sender.backups where id = %s", manifest.backup_id)
    assert (row["status"], row["manifest"]["collections"][COLLECTION]["points"]) == (
        "completed", manifest.collections[COLLECTION].points,
    )  # fmt: skip

    # The backup holds everything that was acknowledged before it began.
    dumped_data = b"".join(gzip.decompress(file.read_bytes()) for file in folder.rglob("*.gz"))
    assert [kind for kind in before[0] if kind.encode() not in dumped_data] == []
    with pytest.raises(NotRestorable, match="There is data in"):
        restore(str(folder), home, None, print)
    if not FULL:
        # The restore itself has compared every row and every point with the manifest.
        return
    second = start_platform(home.home, PORTS)
    try:
        # Everything acknowledged before the backup began is there, and some of what came during the backup.
        client = second["admin@acme"]
        points = stored_numbers(client, load.points)
        assert set(before[1]) <= points <= set(load.points)
        event_rows = second.query("select type from email_sender.events union select type from email_sender.outbox")
        types = {event_row["type"] for event_row in event_rows}
        assert set(before[0]) <= types
        # Readable addresses prove that the keys are right; found messages prove that the vectors are.
        assert client.get(f"/contacts/{contact['id']}")["email"] == contact["email"]
        search_result = client.post(
            "/vectors/search", {"collection": "message_vectors", "text": "message number 3", "limit": 3}
        )
        assert len(search_result["results"]) == 3
        # The second cloud accepts new events.
        client.post("/events", {"source": "crm", "type": "backup.after", "data": {}})
    finally:
        for signed_in_client in second.clients.values():
            signed_in_client.close()
        second.cloud.stop()


def test_a_failed_backup_is_reported_and_leaves_no_manifest(platform: Platform, tmp_path: Path) -> None:
    with psycopg.connect(platform.cloud.database_url, autocommit=True) as conn:
        conn.execute("revoke select on email_sender.threads from backup")
        try:
            with pytest.raises(BackupFailed, match="Its record has the reason"):
                back_up(endpoints_of(platform), tmp_path, print)
        finally:
            conn.execute("grant select on email_sender.threads to backup")
    last = platform.query("select * from email_sender.backups order by started_at desc limit 1")[0]
    assert (last["status"], last["reason"]) == ("failed", "An internal error occurred. See the logs for details.")
    bucket, _, prefix = last["location"].removeprefix("s3://").partition("/")
    listing = platform.aws("s3").list_objects_v2(Bucket=bucket, Prefix=prefix)
    assert [entry["Key"] for entry in listing.get("Contents", []) if entry["Key"].endswith("manifest.json")] == []
