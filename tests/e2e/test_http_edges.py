"""The edges of the API: what is too much, not JSON, not finite, said twice."""

import base64
import struct
from typing import Any
from uuid import uuid4

import httpx
import pytest

from local.client import ApiError, wait_until
from tests.conftest import Platform
from tests.e2e import steps

VECTOR = [0.25] * 768


def problem(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "detail", "instance", "code", "request_id"} <= set(body)
    assert body["status"] == answer.status_code
    assert body["request_id"] == answer.headers["x-request-id"]
    return body


def test_every_answer_carries_the_headers_of_the_house(platform: Platform) -> None:
    client = platform["user@acme"].http
    for answer in (client.get("/version"), client.get("/contacts/none"), client.get("/contacts/" + str(uuid4()))):
        assert answer.headers["strict-transport-security"].startswith("max-age=")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ({"content": b"{not json", "headers": {"content-type": "application/json"}}, 400, "invalid_input"),
        ({"content": b"{}", "headers": {"content-type": "text/plain"}}, 415, "unsupported_media_type"),
        ({"json": {"email": "a@b.example", "surprise": 1}}, 422, "invalid_input"),
        ({"json": {"email": "not an address"}}, 422, "invalid_input"),
        ({"json": {"email": "a@b.example\r\nBcc: all@b.example"}}, 422, "invalid_input"),
        ({"json": []}, 422, "invalid_input"),
        ({"json": {"email": 7}}, 422, "invalid_input"),
    ],
)
def test_bad_bodies_get_a_problem(platform: Platform, sent: dict[str, Any], status: int, code: str) -> None:
    answer = platform["user@acme"].http.post("/contacts", **sent)
    assert answer.status_code == status
    assert problem(answer)["code"] == code


def test_a_body_too_large_names_the_way_for_large_ones(platform: Platform) -> None:
    answer = platform["user@acme"].http.post("/contacts", json={"email": "x" * (5 * 1024 * 1024 + 1)})
    assert answer.status_code == 413
    assert "/vectors/imports" in problem(answer)["detail"]


def test_an_event_too_large_for_the_bus_is_refused_and_one_that_just_is_not_arrives(platform: Platform) -> None:
    user, kind = platform["user@acme"], f"Large{uuid4().hex[:8]}"
    answer = user.http.post("/events", json={"source": "crm", "type": kind, "data": {"text": "x" * 240_000}})
    assert answer.status_code == 413
    assert "240000 bytes" in problem(answer)["detail"]
    assert user.http.post("/events", json={"source": "crm", "type": kind, "data": {"text": "x" * 239_000}}).is_success
    wait_until(lambda: user.get("/events", type=kind)["items"], lambda seen: len(seen) == 1, 30)


def test_a_pointer_says_where(platform: Platform) -> None:
    body = {"collection": "document_vectors", "points": [{"vector": VECTOR}, {"vector": VECTOR, "text": "both"}]}
    answer = platform["user@acme"].http.post("/vectors/insert", json=body)
    assert [each["pointer"] for each in problem(answer)["errors"]] == ["/points/1"]


@pytest.mark.parametrize(
    ("collection", "point", "pointer"),
    [
        ("document_vectors", {"vector": [0.1] * 767}, "/points/0/vector"),
        ("document_vectors", {"vector_b64": base64.b64encode(struct.pack("<768f", *[float("nan")] * 768)).decode()},
         "/points/0/vector"),
        ("document_vectors", {"vector": [1e39] * 768}, "/points/0/vector"),
        ("document_vectors", {"vector_b64": "***"}, "/points/0/vector_b64"),
        ("document_vectors", {"vector_b64": "AAA="}, "/points/0/vector_b64"),
        ("document_vectors", {"text": "no model here"}, "/points/0/text"),
        ("document_vectors", {"vector": VECTOR, "payload": {"_id": 1}}, "/points/0/payload/_id"),
        ("document_vectors", {"vector": VECTOR, "payload": {"tenant_id": "x"}}, "/points/0/payload/tenant_id"),
        ("no_vectors", {"vector": VECTOR}, "/collection"),
    ],
)  # fmt: skip
def test_a_bad_point_writes_nothing(platform: Platform, collection: str, point: steps.Json, pointer: str) -> None:
    client = platform["admin@globex"]
    before = client.get("/vectors/collections")["items"]
    body = {"collection": collection, "points": [point, {"vector": VECTOR}]}
    answer = client.http.post("/vectors/insert", json=body)
    assert answer.status_code == 422
    assert pointer in [each["pointer"] for each in problem(answer)["errors"]]
    assert client.get("/vectors/collections")["items"] == before


def test_nan_in_json_is_refused(platform: Platform) -> None:
    text = '{"collection": "document_vectors", "points": [{"vector": [' + ",".join(["NaN"] * 768) + "]}]}"
    answer = platform["user@acme"].http.post(
        "/vectors/insert", content=text, headers={"content-type": "application/json"}
    )
    assert answer.status_code in (400, 422)


def test_points_come_back_by_their_own_ids_and_only_to_their_tenant(platform: Platform) -> None:
    ids = [7, 2**64 - 1, str(uuid4())]
    encoded = base64.b64encode(struct.pack("<768f", *VECTOR)).decode()
    for username, text in (("user@acme", "ours"), ("user@globex", "theirs")):
        points = [{"id": each, "vector_b64": encoded, "payload": {"whose": text, "n": 1}} for each in ids]
        platform[username].post("/vectors/insert", {"collection": "document_vectors", "points": points})
    for username, text in (("user@acme", "ours"), ("user@globex", "theirs")):
        found = platform[username].post(
            "/vectors/search",
            {
                "collection": "document_vectors",
                "vector": VECTOR,
                "limit": 100,
                "with_vector": True,
                "filter": {"must": [{"key": "n", "match": {"value": 1}}]},
            },
        )["results"]
        assert {str(hit["id"]) for hit in found} == {str(each) for each in ids}
        assert {hit["payload"]["whose"] for hit in found} == {text}
        assert all("tenant_id" not in hit["payload"] for hit in found)
        assert found[0]["vector"] == pytest.approx(VECTOR)
    for each in ids:
        platform["user@acme"].delete(f"/vectors/{each}")
    left = platform["user@globex"].post("/vectors/search", {"collection": "document_vectors", "vector": VECTOR})
    assert len(left["results"]) == 3
    with pytest.raises(ApiError) as gone:
        platform["user@acme"].delete(f"/vectors/{ids[0]}")
    assert gone.value.status == 404


@pytest.mark.parametrize("part", ["must", "should", "must_not"])
@pytest.mark.parametrize("key", ["tenant_id", "tenant_id[]", "tenant_id.x", "_id"])
def test_no_filter_climbs_the_wall(platform: Platform, part: str, key: str) -> None:
    tenant = next(user.tenant_id for user in platform.users if user.tenant == "acme")
    answer = platform["user@globex"].http.post(
        "/vectors/search",
        json={
            "collection": "document_vectors",
            "vector": VECTOR,
            "filter": {part: [{"key": key, "match": {"value": tenant}}]},
        },
    )
    assert answer.status_code == 422


def test_a_key_gives_the_first_answer_again(platform: Platform) -> None:
    client, key = platform["user@acme"], uuid4().hex
    body = {"email": f"{uuid4().hex}@people.example"}
    first = client.http.post("/contacts", json=body, headers={"idempotency-key": key})
    again = client.http.post("/contacts", json=body, headers={"idempotency-key": key})
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    other = client.http.post("/contacts", json={"email": "z@people.example"}, headers={"idempotency-key": key})
    assert other.status_code == 422
    elsewhere = platform["admin@acme"].http.post("/contacts", json=body, headers={"idempotency-key": key})
    assert elsewhere.status_code == 409
    rows = platform.look("select response from email_sender.idempotency where key = %s and status is not null", key)
    assert rows
    assert all(body["email"].encode() not in row["response"] for row in rows)


def test_a_refused_request_leaves_its_key_free(platform: Platform) -> None:
    client, key = platform["user@acme"].http, uuid4().hex
    assert client.post("/contacts", json={"email": "no"}, headers={"idempotency-key": key}).status_code == 422
    corrected = {"email": f"{uuid4().hex}@people.example"}
    assert client.post("/contacts", json=corrected, headers={"idempotency-key": key}).status_code == 201


def test_lists_come_in_pages_that_miss_nothing(platform: Platform) -> None:
    client = platform["user@globex"]
    for _ in range(5):
        steps.add_contact(client)
    whole = [each["id"] for each in client.get("/contacts", limit=200)["items"]]
    paged: list[str] = []
    cursor: str | None = None
    while True:
        page = client.get("/contacts", limit=2, **({"cursor": cursor} if cursor else {}))
        paged += [each["id"] for each in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert paged == whole
    assert len(set(paged)) >= 5
    for bad in ("nonsense", "1", "'; drop table contacts"):
        assert client.http.get("/contacts", params={"cursor": bad}).status_code == 422
    assert client.http.get("/contacts", params={"limit": 201}).status_code == 422


def test_a_version_that_is_not_the_last_seen_is_a_conflict(platform: Platform) -> None:
    client = platform["user@acme"].http
    body = {"name": f"t-{uuid4().hex}", "subject": "s", "body_text": "b"}
    created = client.post("/templates", json=body)
    path = f"/templates/{created.json()['id']}"
    assert created.headers["etag"] == '"1"'
    assert client.put(path, json=body, headers={"if-match": '"1"'}).headers["etag"] == '"2"'
    assert client.put(path, json=body, headers={"if-match": '"1"'}).status_code == 409
    assert client.put(path, json=body, headers={"if-match": "x"}).status_code == 422


def test_a_page_of_another_site_may_call_only_where_it_is_configured(platform: Platform) -> None:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    url = f"{platform.api}/vectors/search"
    allowed = httpx.options(url, headers={"origin": "http://localhost:3000", **asked})
    assert allowed.headers.get("access-control-allow-origin") == "http://localhost:3000"
    refused = httpx.options(url, headers={"origin": "https://evil.example", **asked})
    assert "access-control-allow-origin" not in refused.headers


def test_the_docs_load_nothing_from_elsewhere(platform: Platform) -> None:
    page = httpx.get(f"{platform.api}/docs")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "https://" not in page.text
    document = httpx.get(f"{platform.api}/openapi.json").json()
    assert "/api/v1/vectors/search" in document["paths"]
    for asset in ("swagger-ui-bundle.min.js", "swagger-ui.min.css"):
        assert len(httpx.get(f"{platform.api}/docs/{asset}").content) > 10_000
    assert httpx.get(f"{platform.api}/docs/..%2fhandler.py").status_code == 404


def test_a_broken_definition_is_explained_and_not_stored(platform: Platform) -> None:
    client = platform["user@acme"].http
    broken = """
name: broken
steps:
  - id: a
    uses: vectors.serch
    needs: [b]
  - id: b
    uses: wait
    needs: [a]
    with: {seconds: 1}
"""
    answer = client.post("/workflows", json={"definition": broken})
    assert answer.status_code == 422
    said = {each["pointer"]: each["message"] for each in problem(answer)["errors"]}
    assert "vectors.search" in said["/steps/0/uses"]
    assert client.post("/workflows", json={"definition": "a: [unclosed"}).status_code == 422
    assert client.post("/workflows", json={"definition": {"name": "x", "steps": []}}).status_code == 422
    bad_schema = {
        "name": "x",
        "inputs": {"type": "objct"},
        "steps": [{"id": "w", "uses": "wait", "with": {"seconds": 1}}],
    }
    assert client.post("/workflows/validate", json={"definition": bad_schema}).status_code == 422


def test_inputs_are_checked_by_the_workflows_own_schema(platform: Platform) -> None:
    client = platform["user@acme"]
    definition = {
        "name": f"w-{uuid4().hex}",
        "inputs": {"type": "object", "required": ["query"]},
        "steps": [{"id": "w", "uses": "wait", "with": {"seconds": 1}}],
    }
    workflow = client.post("/workflows", {"definition": definition})
    answer = client.http.post(f"/workflows/{workflow['id']}/execute", json={"inputs": {}})
    assert answer.status_code == 422
    assert "query" in problem(answer)["errors"][0]["message"]


def test_the_platforms_series_are_read_by_operators(platform: Platform) -> None:
    platform["user@acme"].get("/contacts")
    answer = platform["operator@platform"].http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    counts = [
        line for line in answer.text.splitlines() if line.startswith("email_sender_api_request_duration_seconds_count")
    ]
    assert any('method="GET",endpoint="/api/v1/contacts",status="200"' in line for line in counts)
