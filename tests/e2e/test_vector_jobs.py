"""Exports and migrations on the deployed template, with concurrent writers."""

import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from local.client import ApiClient, wait_until
from tests.conftest import Platform

SIZE = 768
FIRST = 8_000_000
COLLECTION = "document_vectors"
JOB_POINTS_FILTER = {"must": [{"key": "job", "match": {"value": True}}]}

type Json = dict[str, Any]


def vector(number: int) -> list[float]:
    return [1.0 if index == number % SIZE else 0.0 for index in range(SIZE)]


def insert_points(client: ApiClient, numbers: list[int]) -> int:
    """Insert points and return the HTTP status. During a switch, 503 asks the client to try again."""
    points = [
        {"id": FIRST + number, "vector": vector(number), "payload": {"job": True, "n": number}} for number in numbers
    ]
    return client.http.post("/vectors/insert", json={"collection": COLLECTION, "points": points}).status_code


def stored_numbers(client: ApiClient) -> set[int]:
    point_numbers: set[int] = set()
    for low in range(0, 1_000, 100):
        point_filter = {"must": [*JOB_POINTS_FILTER["must"], {"key": "n", "range": {"gte": low, "lt": low + 100}}]}
        query = {"collection": COLLECTION, "vector": vector(low), "filter": point_filter, "limit": 100, "exact": True}
        point_numbers |= {hit["id"] - FIRST for hit in client.post("/vectors/search", query)["results"]}
    return point_numbers


@pytest.fixture
def client(platform: Platform) -> Iterator[ApiClient]:
    client = platform["user@acme"]

    def delete_points() -> None:
        operations = [{"collection": COLLECTION, "op": "delete", "filter": JOB_POINTS_FILTER}]
        client.post("/vectors/batch", {"operations": operations})

    delete_points()
    assert insert_points(client, list(range(100))) == 200
    yield client
    delete_points()


@pytest.fixture
def operator(platform: Platform) -> Iterator[ApiClient]:
    """Return an operator's client, and roll back a migration that a failed test leaves switched."""
    operator = platform["operator@platform"]
    yield operator
    for job in operator.get("/vectors/jobs", limit=5)["items"]:
        if job["status"] == "switched":
            operator.post(f"/vectors/jobs/{job['job_id']}/rollback", {})
            wait_until_ended(operator, job, "rolled_back")


def wait_until_ended(operator: ApiClient, job: Json, *statuses: str) -> Json:
    ended_job = wait_until(
        lambda: dict(operator.get(f"/vectors/jobs/{job['job_id']}")),
        lambda current_job: current_job["status"] in ("switched", "rolled_back", "completed", "failed"),
        120,
    )
    assert ended_job["status"] in statuses, ended_job
    return ended_job


class PointWriter(threading.Thread):
    """Insert ten points at a time and repeat refused inserts. `acknowledged` holds the accepted numbers."""

    def __init__(self, client: ApiClient, first: int) -> None:
        super().__init__(daemon=True)
        self._client, self._next = client, first
        self.acknowledged: set[int] = set()
        self.refused_statuses: set[int] = set()
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.is_set() and self._next < 990:
            numbers = list(range(self._next, self._next + 10))
            status = insert_points(self._client, numbers)
            if status == 200:
                self.acknowledged |= set(numbers)
                self._next += 10
            else:
                self.refused_statuses.add(status)
            self.stop.wait(0.2)


def test_a_migration_and_its_rollback_lose_no_concurrent_writes(client: ApiClient, operator: ApiClient) -> None:
    writer = PointWriter(client, 100)
    writer.start()
    try:
        job = operator.post("/vectors/jobs/migrations", {"collection": COLLECTION, "target": {"distance": "Cosine"}})
        switched_job = wait_until_ended(operator, job, "switched")
        assert (switched_job["served"]["distance"], switched_job["target"]["distance"]) == ("Euclid", "Cosine")
        assert switched_job["report"]["points"] >= 100
        count_during = len(writer.acknowledged)
        # Only one job may run on a collection.
        second_response = operator.http.post("/vectors/jobs/migrations", json={"collection": COLLECTION})
        assert second_response.status_code == 409
        acknowledged_before = set(writer.acknowledged)  # read before the search: the writer continues
        assert acknowledged_before <= stored_numbers(client)
        operator.post(f"/vectors/jobs/{job['job_id']}/rollback", {})
        wait_until_ended(operator, job, "rolled_back")
    finally:
        writer.stop.set()
        writer.join(30)
    assert 0 < count_during < len(writer.acknowledged)
    assert writer.refused_statuses <= {503}
    assert stored_numbers(client) == set(range(100)) | writer.acknowledged


def test_an_export_restores_deleted_points(client: ApiClient, operator: ApiClient) -> None:
    export = operator.post("/vectors/jobs/exports", {"collection": COLLECTION})
    assert wait_until_ended(operator, export, "completed")["report"]["points"] >= 100
    assert insert_points(client, [200]) == 200
    client.post(
        "/vectors/batch", {"operations": [{"collection": COLLECTION, "op": "delete", "filter": JOB_POINTS_FILTER}]}
    )
    assert stored_numbers(client) == set()
    source = {"type": "export", "export_id": export["job_id"]}
    job = operator.post("/vectors/jobs/migrations", {"collection": COLLECTION, "source": source})
    wait_until_ended(operator, job, "switched")
    assert stored_numbers(client) == set(range(100))
    operator.post(f"/vectors/jobs/{job['job_id']}/finish", {})
    wait_until_ended(operator, job, "completed")
    assert stored_numbers(client) == set(range(100))
    assert [entry["job_id"] for entry in operator.get("/vectors/jobs", limit=2)["items"]] == [
        job["job_id"], export["job_id"],
    ]  # fmt: skip


def test_a_repair_removes_points_that_outlived_their_messages(platform: Platform, operator: ApiClient) -> None:
    client, orphan = platform["admin@acme"], str(uuid4())
    point = {"id": orphan, "text": "xkqz-8 outlived its message", "payload": {"import": "1"}}
    client.post("/vectors/insert", {"collection": "message_vectors", "points": [point]})
    query = {"collection": "message_vectors", "text": "xkqz-8", "hybrid": True, "limit": 100}
    # No search shows it.
    assert orphan not in {hit["id"] for hit in client.post("/vectors/search", query)["results"]}
    job = wait_until_ended(operator, operator.post("/vectors/jobs/repairs", {}), "completed")
    assert (job["kind"], job["report"]["removed"]) == ("repair", 1)
    assert client.http.delete(f"/vectors/{orphan}", params={"collection": "message_vectors"}).status_code == 404
    response = operator.http.post("/vectors/jobs/repairs", json={"collection": COLLECTION})
    assert response.status_code == 422
    assert response.json()["detail"] == "Only points of message_vectors are made of messages."


def test_jobs_are_for_operators_and_invalid_requests_are_explained(platform: Platform, operator: ApiClient) -> None:
    for body, pointer in (
        ({"collection": "nothing"}, "/collection"),
        ({"collection": COLLECTION, "target": {"size": 5}}, "/target/size"),
        ({"collection": COLLECTION, "target": {"model": "magic"}}, "/target/model"),
        ({"collection": COLLECTION, "source": {"type": "tape"}}, "/source"),
        ({"collection": COLLECTION, "source": {"type": "qdrant", "host": "a b", "collection": "c"}}, "/source"),
    ):
        response = operator.http.post("/vectors/jobs/migrations", json=body)
        assert response.status_code in (400, 422), response.text
        assert response.json()["errors"][0]["pointer"].startswith(pointer), response.text
    for username in ("admin@acme", "readonly@acme"):
        assert platform[username].http.get("/vectors/jobs").status_code == 403
        response = platform[username].http.post("/vectors/jobs/exports", json={"collection": COLLECTION})
        assert response.status_code == 403
    assert operator.http.get("/vectors/jobs", params={"cursor": "x/y"}).status_code in (400, 422)
