"""Exports and migrations on the deployed template, with writers at work."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from local.client import ApiClient, wait_until
from tests.conftest import Platform

SIZE = 768
FIRST = 8_000_000
COLLECTION = "document_vectors"
OURS = {"must": [{"key": "job", "match": {"value": True}}]}

type Json = dict[str, Any]


def vector(number: int) -> list[float]:
    return [1.0 if each == number % SIZE else 0.0 for each in range(SIZE)]


def insert(client: ApiClient, numbers: list[int]) -> int:
    """The status: where the engine is being switched, 503 says to ask again."""
    points = [
        {"id": FIRST + number, "vector": vector(number), "payload": {"job": True, "n": number}} for number in numbers
    ]
    return client.http.post("/vectors/insert", json={"collection": COLLECTION, "points": points}).status_code


def stored(client: ApiClient) -> set[int]:
    found: set[int] = set()
    for low in range(0, 1_000, 100):
        wanted = {"must": [*OURS["must"], {"key": "n", "range": {"gte": low, "lt": low + 100}}]}
        asked = {"collection": COLLECTION, "vector": vector(low), "filter": wanted, "limit": 100, "exact": True}
        found |= {hit["id"] - FIRST for hit in client.post("/vectors/search", asked)["results"]}
    return found


@pytest.fixture
def client(platform: Platform) -> Iterator[ApiClient]:
    client = platform["user@acme"]

    def clear() -> None:
        operations = [{"collection": COLLECTION, "op": "delete", "filter": OURS}]
        client.post("/vectors/batch", {"operations": operations})

    clear()
    assert insert(client, list(range(100))) == 200
    yield client
    clear()


@pytest.fixture
def operator(platform: Platform) -> Iterator[ApiClient]:
    """What a failed test leaves switched is brought back: the tests after it know the served collection."""
    operator = platform["operator@platform"]
    yield operator
    for job in operator.get("/vectors/jobs", limit=5)["items"]:
        if job["status"] == "switched":
            operator.post(f"/vectors/jobs/{job['job_id']}/rollback", {})
            ended(operator, job, "rolled_back")


def ended(operator: ApiClient, job: Json, *wanted: str) -> Json:
    seen = wait_until(
        lambda: dict(operator.get(f"/vectors/jobs/{job['job_id']}")),
        lambda seen: seen["status"] in ("switched", "rolled_back", "completed", "failed"),
        120,
    )
    assert seen["status"] in wanted, seen
    return seen


class Writer(threading.Thread):
    """Inserts ten points at a time, again where it is told to; `done` are those that were acknowledged."""

    def __init__(self, client: ApiClient, first: int) -> None:
        super().__init__(daemon=True)
        self._client, self._next = client, first
        self.done: set[int] = set()
        self.refused: set[int] = set()
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.is_set() and self._next < 990:
            numbers = list(range(self._next, self._next + 10))
            status = insert(self._client, numbers)
            if status == 200:
                self.done |= set(numbers)
                self._next += 10
            else:
                self.refused.add(status)
            self.over.wait(0.2)


def test_a_migration_under_writes_loses_none_and_neither_does_its_rollback(
    client: ApiClient, operator: ApiClient
) -> None:
    writer = Writer(client, 100)
    writer.start()
    try:
        job = operator.post("/vectors/jobs/migrations", {"collection": COLLECTION, "target": {"distance": "Cosine"}})
        switched = ended(operator, job, "switched")
        assert (switched["served"]["distance"], switched["target"]["distance"]) == ("Euclid", "Cosine")
        assert switched["report"]["points"] >= 100
        during = len(writer.done)
        # One at a time, whoever asks.
        again = operator.http.post("/vectors/jobs/migrations", json={"collection": COLLECTION})
        assert again.status_code == 409
        acknowledged = set(writer.done)  # before it is read: the writer goes on meanwhile
        assert acknowledged <= stored(client)
        operator.post(f"/vectors/jobs/{job['job_id']}/rollback", {})
        ended(operator, job, "rolled_back")
    finally:
        writer.over.set()
        writer.join(30)
    assert 0 < during < len(writer.done)
    assert writer.refused <= {503}
    assert stored(client) == set(range(100)) | writer.done


def test_an_export_brings_back_what_was_deleted(client: ApiClient, operator: ApiClient) -> None:
    export = operator.post("/vectors/jobs/exports", {"collection": COLLECTION})
    assert ended(operator, export, "completed")["report"]["points"] >= 100
    assert insert(client, [200]) == 200
    client.post("/vectors/batch", {"operations": [{"collection": COLLECTION, "op": "delete", "filter": OURS}]})
    assert stored(client) == set()
    source = {"type": "export", "export_id": export["job_id"]}
    job = operator.post("/vectors/jobs/migrations", {"collection": COLLECTION, "source": source})
    ended(operator, job, "switched")
    assert stored(client) == set(range(100))
    operator.post(f"/vectors/jobs/{job['job_id']}/finish", {})
    ended(operator, job, "completed")
    assert stored(client) == set(range(100))
    assert [each["job_id"] for each in operator.get("/vectors/jobs", limit=2)["items"]] == [
        job["job_id"], export["job_id"],
    ]  # fmt: skip


def test_jobs_are_for_operators_and_what_is_wrong_is_said(platform: Platform, operator: ApiClient) -> None:
    for body, pointer in (
        ({"collection": "nothing"}, "/collection"),
        ({"collection": COLLECTION, "target": {"size": 5}}, "/target/size"),
        ({"collection": COLLECTION, "target": {"model": "magic"}}, "/target/model"),
        ({"collection": COLLECTION, "source": {"type": "tape"}}, "/source"),
        ({"collection": COLLECTION, "source": {"type": "qdrant", "host": "a b", "collection": "c"}}, "/source"),
    ):
        refused = operator.http.post("/vectors/jobs/migrations", json=body)
        assert refused.status_code in (400, 422), refused.text
        assert refused.json()["errors"][0]["pointer"].startswith(pointer), refused.text
    for username in ("admin@acme", "readonly@acme"):
        assert platform[username].http.get("/vectors/jobs").status_code == 403
        refused = platform[username].http.post("/vectors/jobs/exports", json={"collection": COLLECTION})
        assert refused.status_code == 403
    assert operator.http.get("/vectors/jobs", params={"cursor": "x/y"}).status_code in (400, 422)
