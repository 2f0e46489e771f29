"""Batches and every kind of search over HTTP, on the deployed template."""

from base64 import b64encode
from collections.abc import Iterator
from struct import pack
from typing import Any

import pytest

from local.client import ApiClient
from tests.conftest import Platform

SIZE = 768
FIRST = 7_000_000


def encoded_vector(position: int) -> str:
    return b64encode(pack(f"<{SIZE}f", *(1.0 if index == position else 0.0 for index in range(SIZE)))).decode()


def point(number: int, **payload: Any) -> dict[str, Any]:
    return {
        "id": FIRST + number,
        "vector_b64": encoded_vector(number),
        "payload": {"batch": True, "n": number, **payload},
    }


BATCH_POINTS_FILTER = {"must": [{"key": "batch", "match": {"value": True}}]}


@pytest.fixture
def client(platform: Platform) -> ApiClient:
    return platform["user@acme"]


@pytest.fixture(autouse=True)
def points(client: ApiClient) -> Iterator[None]:
    result = batch(
        client,
        {"op": "delete", "filter": BATCH_POINTS_FILTER},
        {"op": "upsert", "points": [point(number, shelf=f"s{number % 2}") for number in range(6)]},
    )
    assert [operation_result["status"] for operation_result in result["results"]] == ["done", "done"]
    yield
    batch(client, {"op": "delete", "filter": BATCH_POINTS_FILTER})


def batch(client: ApiClient, *operations: dict[str, Any], **options: Any) -> dict[str, Any]:
    named_operations = [{"collection": "document_vectors", **operation} for operation in operations]
    return dict(client.post("/vectors/batch", {"operations": named_operations, **options}))


def point_numbers(response: dict[str, Any]) -> list[int]:
    return [hit["id"] - FIRST for hit in response["results"]]


def test_a_batch_applies_valid_operations_and_reports_the_failed_ones(client: ApiClient) -> None:
    result = batch(
        client,
        {"op": "set_payload", "ids": [FIRST], "payload": {"n": 99}},
        {"op": "upsert", "points": [{"vector": [1.0]}]},
        {
            "op": "delete",
            "filter": {"must": [{"key": "n", "range": {"gte": 4, "lt": 50}}, *BATCH_POINTS_FILTER["must"]]},
        },
        {"op": "search", "vector_b64": encoded_vector(0), "filter": BATCH_POINTS_FILTER, "limit": 10},
    )
    assert [operation_result["status"] for operation_result in result["results"]] == ["done", "failed", "done", "done"]
    assert result["failed"] == 1
    assert result["results"][1]["error"]["errors"][0]["pointer"] == "/points/0/vector"
    assert result["results"][2]["count"] == 2
    search_response = result["results"][3]["answer"]
    assert point_numbers(search_response)[0] == 0
    assert set(point_numbers(search_response)) == {0, 1, 2, 3}
    assert search_response["results"][0]["payload"] == {"batch": True, "n": 99, "shelf": "s0"}


def test_atomic_validation_applies_nothing_if_one_operation_is_invalid(client: ApiClient) -> None:
    operations = [
        {"op": "delete", "collection": "document_vectors", "filter": BATCH_POINTS_FILTER},
        {"op": "what", "collection": "document_vectors"},
    ]
    response = client.http.post("/vectors/batch", json={"operations": operations, "atomic_validation": True})
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "/operations/1"
    query = {"collection": "document_vectors", "vector_b64": encoded_vector(0), "filter": BATCH_POINTS_FILTER}
    assert len(client.post("/vectors/search", query)["results"]) == 6


def test_recommendations_are_similar_to_the_positive_examples(client: ApiClient) -> None:
    query = {
        "collection": "document_vectors",
        "recommend": {"positive": [FIRST + 1, {"vector_b64": encoded_vector(2)}], "negative": [FIRST + 5]},
        "filter": BATCH_POINTS_FILTER,
    }
    response = client.post("/vectors/search", query)
    assert point_numbers(response)[0] == 2
    assert not {1, 5} & set(point_numbers(response))


def test_a_point_of_another_tenant_cannot_be_an_example(platform: Platform) -> None:
    query = {"collection": "document_vectors", "recommend": {"positive": [FIRST + 1]}}
    assert platform["user@globex"].http.post("/vectors/search", json=query).status_code == 404


def test_several_searches_run_in_one_call(client: ApiClient) -> None:
    searches = [
        {"vector_b64": encoded_vector(3), "limit": 1, "filter": BATCH_POINTS_FILTER},
        {
            "vector_b64": encoded_vector(4),
            "limit": 2,
            "group_by": "shelf",
            "group_size": 1,
            "filter": BATCH_POINTS_FILTER,
        },
    ]
    responses = client.post("/vectors/searches", {"collection": "document_vectors", "searches": searches})["answers"]
    assert point_numbers(responses[0]) == [3]
    assert [group["key"] for group in responses[1]["groups"]] == ["s0", "s1"]


def test_hybrid_search_finds_an_exact_name(client: ApiClient) -> None:
    texts = ["zxqv-4711 broke the build", "the build is broken again", "who broke the build"]
    new_points = (
        {"id": FIRST, "text": texts[0]},
        {"id": FIRST + 1, "text": texts[1]},
        {"id": FIRST + 2, "text": texts[2]},
    )
    client.post("/vectors/insert", {"collection": "message_vectors", "points": list(new_points)})
    query = {"collection": "message_vectors", "text": "zxqv-4711", "hybrid": True, "limit": 1}
    try:
        assert point_numbers(client.post("/vectors/search", query)) == [0]
    finally:
        client.post(
            "/vectors/batch",
            {"operations": [{"op": "delete", "collection": "message_vectors", "ids": [FIRST + n for n in range(3)]}]},
        )


def test_a_readonly_user_can_search_but_not_change(platform: Platform) -> None:
    client = platform["readonly@acme"]
    query = {"collection": "document_vectors", "searches": [{"vector_b64": encoded_vector(0)}]}
    assert client.http.post("/vectors/searches", json=query).status_code == 200
    operations = {"operations": [{"op": "delete", "collection": "document_vectors", "ids": [FIRST]}]}
    assert client.http.post("/vectors/batch", json=operations).status_code == 403


def test_a_write_invalidates_cached_search_results(client: ApiClient) -> None:
    query = {
        "collection": "document_vectors",
        "vector_b64": encoded_vector(2),
        "limit": 100,
        "filter": BATCH_POINTS_FILTER,
    }
    for _ in range(4):
        assert 40 not in point_numbers(client.post("/vectors/search", query))
    client.post("/vectors/insert", {"collection": "document_vectors", "points": [point(40)]})
    assert 40 in point_numbers(client.post("/vectors/search", query))
    client.http.delete(f"/vectors/{FIRST + 40}").raise_for_status()
    assert 40 not in point_numbers(client.post("/vectors/search", query))


def test_only_an_operator_sees_the_plan_of_collection_changes(platform: Platform) -> None:
    operator = platform["operator@platform"]
    plan = operator.get("/vectors/collections/plan")
    assert plan["changes"] == []
    assert operator.post("/vectors/collections/apply", {"plan": plan["id"]}) == plan
    stale_response = operator.http.post("/vectors/collections/apply", json={"plan": "0" * 16})
    assert (stale_response.status_code, "Get the plan again" in stale_response.json()["detail"]) == (409, True)
    for username in ("admin@acme", "readonly@globex"):
        assert platform[username].http.get("/vectors/collections/plan").status_code == 403
        response = platform[username].http.post("/vectors/collections/apply", json={"plan": plan["id"]})
        assert response.status_code == 403
