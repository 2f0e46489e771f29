"""Batches and every kind of search, over HTTP, on the deployed template."""

from base64 import b64encode
from collections.abc import Iterator
from struct import pack
from typing import Any

import pytest

from local.client import ApiClient
from tests.conftest import Platform

SIZE = 768
FIRST = 7_000_000


def encoded(place: int) -> str:
    return b64encode(pack(f"<{SIZE}f", *(1.0 if each == place else 0.0 for each in range(SIZE)))).decode()


def point(number: int, **payload: Any) -> dict[str, Any]:
    return {"id": FIRST + number, "vector_b64": encoded(number), "payload": {"batch": True, "n": number, **payload}}


OURS = {"must": [{"key": "batch", "match": {"value": True}}]}


@pytest.fixture
def client(platform: Platform) -> ApiClient:
    return platform["user@acme"]


@pytest.fixture(autouse=True)
def points(client: ApiClient) -> Iterator[None]:
    done = batch(
        client,
        {"op": "delete", "filter": OURS},
        {"op": "upsert", "points": [point(number, shelf=f"s{number % 2}") for number in range(6)]},
    )
    assert [each["status"] for each in done["results"]] == ["done", "done"]
    yield
    batch(client, {"op": "delete", "filter": OURS})


def batch(client: ApiClient, *operations: dict[str, Any], **options: Any) -> dict[str, Any]:
    named = [{"collection": "document_vectors", **each} for each in operations]
    return dict(client.post("/vectors/batch", {"operations": named, **options}))


def found(answer: dict[str, Any]) -> list[int]:
    return [hit["id"] - FIRST for hit in answer["results"]]


def test_a_batch_does_what_can_be_done_and_says_what_cannot(client: ApiClient) -> None:
    done = batch(
        client,
        {"op": "set_payload", "ids": [FIRST], "payload": {"n": 99}},
        {"op": "upsert", "points": [{"vector": [1.0]}]},
        {"op": "delete", "filter": {"must": [{"key": "n", "range": {"gte": 4, "lt": 50}}, *OURS["must"]]}},
        {"op": "search", "vector_b64": encoded(0), "filter": OURS, "limit": 10},
    )
    assert [each["status"] for each in done["results"]] == ["done", "failed", "done", "done"]
    assert done["failed"] == 1
    assert done["results"][1]["error"]["errors"][0]["pointer"] == "/points/0/vector"
    assert done["results"][2]["count"] == 2
    answer = done["results"][3]["answer"]
    assert found(answer)[0] == 0
    assert set(found(answer)) == {0, 1, 2, 3}
    assert answer["results"][0]["payload"] == {"batch": True, "n": 99, "shelf": "s0"}


def test_atomic_validation_tries_nothing(client: ApiClient) -> None:
    operations = [
        {"op": "delete", "collection": "document_vectors", "filter": OURS},
        {"op": "what", "collection": "document_vectors"},
    ]
    answer = client.http.post("/vectors/batch", json={"operations": operations, "atomic_validation": True})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/operations/1"
    asked = {"collection": "document_vectors", "vector_b64": encoded(0), "filter": OURS}
    assert len(client.post("/vectors/search", asked)["results"]) == 6


def test_examples_find_what_is_like_them(client: ApiClient) -> None:
    asked = {
        "collection": "document_vectors",
        "recommend": {"positive": [FIRST + 1, {"vector_b64": encoded(2)}], "negative": [FIRST + 5]},
        "filter": OURS,
    }
    answer = client.post("/vectors/search", asked)
    assert found(answer)[0] == 2
    assert not {1, 5} & set(found(answer))


def test_an_example_of_another_tenants_is_not_there(platform: Platform) -> None:
    asked = {"collection": "document_vectors", "recommend": {"positive": [FIRST + 1]}}
    assert platform["user@globex"].http.post("/vectors/search", json=asked).status_code == 404


def test_several_searches_in_one_call(client: ApiClient) -> None:
    searches = [
        {"vector_b64": encoded(3), "limit": 1, "filter": OURS},
        {"vector_b64": encoded(4), "limit": 2, "group_by": "shelf", "group_size": 1, "filter": OURS},
    ]
    answers = client.post("/vectors/searches", {"collection": "document_vectors", "searches": searches})["answers"]
    assert found(answers[0]) == [3]
    assert [group["key"] for group in answers[1]["groups"]] == ["s0", "s1"]


def test_words_find_a_name_that_its_vector_blurs(client: ApiClient) -> None:
    texts = ["zxqv-4711 broke the build", "the build is broken again", "who broke the build"]
    inserted = {"id": FIRST, "text": texts[0]}, {"id": FIRST + 1, "text": texts[1]}, {"id": FIRST + 2, "text": texts[2]}
    client.post("/vectors/insert", {"collection": "message_vectors", "points": list(inserted)})
    asked = {"collection": "message_vectors", "text": "zxqv-4711", "hybrid": True, "limit": 1}
    try:
        assert found(client.post("/vectors/search", asked)) == [0]
    finally:
        client.post(
            "/vectors/batch",
            {"operations": [{"op": "delete", "collection": "message_vectors", "ids": [FIRST + n for n in range(3)]}]},
        )


def test_a_readonly_user_searches_and_changes_nothing(platform: Platform) -> None:
    client = platform["readonly@acme"]
    asked = {"collection": "document_vectors", "searches": [{"vector_b64": encoded(0)}]}
    assert client.http.post("/vectors/searches", json=asked).status_code == 200
    operations = {"operations": [{"op": "delete", "collection": "document_vectors", "ids": [FIRST]}]}
    assert client.http.post("/vectors/batch", json=operations).status_code == 403


def test_an_answer_that_is_kept_gives_way_to_a_write(client: ApiClient) -> None:
    asked = {"collection": "document_vectors", "vector_b64": encoded(2), "limit": 100, "filter": OURS}
    for _ in range(4):
        assert 40 not in found(client.post("/vectors/search", asked))
    client.post("/vectors/insert", {"collection": "document_vectors", "points": [point(40)]})
    assert 40 in found(client.post("/vectors/search", asked))
    client.http.delete(f"/vectors/{FIRST + 40}").raise_for_status()
    assert 40 not in found(client.post("/vectors/search", asked))


def test_an_operator_sees_what_settings_would_change_and_nobody_else(platform: Platform) -> None:
    operator = platform["operator@platform"]
    plan = operator.get("/vectors/collections/plan")
    assert plan["changes"] == []
    assert operator.post("/vectors/collections/apply", {"plan": plan["id"]}) == plan
    stale = operator.http.post("/vectors/collections/apply", json={"plan": "0" * 16})
    assert (stale.status_code, "look at the plan again" in stale.json()["detail"]) == (409, True)
    for username in ("admin@acme", "readonly@globex"):
        assert platform[username].http.get("/vectors/collections/plan").status_code == 403
        asked = platform[username].http.post("/vectors/collections/apply", json={"plan": plan["id"]})
        assert asked.status_code == 403
