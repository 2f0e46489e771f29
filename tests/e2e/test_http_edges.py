"""Edge cases of the HTTP API: too large, invalid JSON, non-finite numbers, repeated requests."""

import base64
import struct
from typing import Any
from uuid import uuid4

import httpx
import pytest

from local.client import ApiError, wait_until
from tests.conftest import Platform
from tests.e2e import api

VECTOR = [0.25] * 768


def problem(response: httpx.Response) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert {"type", "title", "status", "detail", "instance", "code", "request_id"} <= set(body)
    assert body["status"] == response.status_code
    assert body["request_id"] == response.headers["x-request-id"]
    return body


def test_every_response_has_the_security_headers(platform: Platform) -> None:
    client = platform["user@acme"].http
    for response in (client.get("/version"), client.get("/contacts/none"), client.get("/contacts/" + str(uuid4()))):
        assert response.headers["strict-transport-security"].startswith("max-age=")
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-request-id"]


@pytest.mark.parametrize(
    ("request_options", "status", "code"),
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
def test_an_invalid_body_gets_a_problem_document(
    platform: Platform, request_options: dict[str, Any], status: int, code: str
) -> None:
    response = platform["user@acme"].http.post("/contacts", **request_options)
    assert response.status_code == status
    assert problem(response)["code"] == code


def test_a_too_large_body_is_refused_with_a_hint_to_imports(platform: Platform) -> None:
    response = platform["user@acme"].http.post("/contacts", json={"email": "x" * (5 * 1024 * 1024 + 1)})
    assert response.status_code == 413
    assert "/vectors/imports" in problem(response)["detail"]


def test_an_event_over_the_bus_limit_is_refused_and_one_just_below_arrives(platform: Platform) -> None:
    user, kind = platform["user@acme"], f"Large{uuid4().hex[:8]}"
    response = user.http.post("/events", json={"source": "crm", "type": kind, "data": {"text": "x" * 240_000}})
    assert response.status_code == 413
    assert "240000 bytes" in problem(response)["detail"]
    assert user.http.post("/events", json={"source": "crm", "type": kind, "data": {"text": "x" * 239_000}}).is_success
    wait_until(lambda: user.get("/events", type=kind)["items"], lambda events: len(events) == 1, 30)


def test_a_validation_error_has_a_pointer(platform: Platform) -> None:
    body = {"collection": "document_vectors", "points": [{"vector": VECTOR}, {"vector": VECTOR, "text": "both"}]}
    response = platform["user@acme"].http.post("/vectors/insert", json=body)
    assert [error["pointer"] for error in problem(response)["errors"]] == ["/points/1"]


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
def test_an_invalid_point_writes_nothing(platform: Platform, collection: str, point: api.Json, pointer: str) -> None:
    client = platform["admin@globex"]
    before = client.get("/vectors/collections")["items"]
    body = {"collection": collection, "points": [point, {"vector": VECTOR}]}
    response = client.http.post("/vectors/insert", json=body)
    assert response.status_code == 422
    assert pointer in [error["pointer"] for error in problem(response)["errors"]]
    assert client.get("/vectors/collections")["items"] == before


def test_nan_in_json_is_refused(platform: Platform) -> None:
    text = '{"collection": "document_vectors", "points": [{"vector": [' + ",".join(["NaN"] * 768) + "]}]}"
    response = platform["user@acme"].http.post(
        "/vectors/insert", content=text, headers={"content-type": "application/json"}
    )
    assert response.status_code in (400, 422)


def test_points_keep_their_own_ids_and_are_visible_to_their_tenant_only(platform: Platform) -> None:
    ids = [7, 2**64 - 1, str(uuid4())]
    encoded_vector = base64.b64encode(struct.pack("<768f", *VECTOR)).decode()
    for username, text in (("user@acme", "ours"), ("user@globex", "theirs")):
        points = [
            {"id": client_id, "vector_b64": encoded_vector, "payload": {"whose": text, "n": 1}} for client_id in ids
        ]
        platform[username].post("/vectors/insert", {"collection": "document_vectors", "points": points})
    for username, text in (("user@acme", "ours"), ("user@globex", "theirs")):
        hits = platform[username].post(
            "/vectors/search",
            {
                "collection": "document_vectors",
                "vector": VECTOR,
                "limit": 100,
                "with_vector": True,
                "filter": {"must": [{"key": "n", "match": {"value": 1}}]},
            },
        )["results"]
        assert {str(hit["id"]) for hit in hits} == {str(client_id) for client_id in ids}
        assert {hit["payload"]["whose"] for hit in hits} == {text}
        assert all("tenant_id" not in hit["payload"] for hit in hits)
        assert hits[0]["vector"] == pytest.approx(VECTOR)
    for point_id in ids:
        platform["user@acme"].delete(f"/vectors/{point_id}")
    remaining = platform["user@globex"].post("/vectors/search", {"collection": "document_vectors", "vector": VECTOR})
    assert len(remaining["results"]) == 3
    with pytest.raises(ApiError) as error:
        platform["user@acme"].delete(f"/vectors/{ids[0]}")
    assert error.value.status == 404


@pytest.mark.parametrize("part", ["must", "should", "must_not"])
@pytest.mark.parametrize("key", ["tenant_id", "tenant_id[]", "tenant_id.x", "_id"])
def test_no_filter_reaches_another_tenants_points(platform: Platform, part: str, key: str) -> None:
    tenant = next(user.tenant_id for user in platform.users if user.tenant == "acme")
    response = platform["user@globex"].http.post(
        "/vectors/search",
        json={
            "collection": "document_vectors",
            "vector": VECTOR,
            "filter": {part: [{"key": key, "match": {"value": tenant}}]},
        },
    )
    assert response.status_code == 422


def test_an_idempotency_key_repeats_the_first_response(platform: Platform) -> None:
    client, key = platform["user@acme"], uuid4().hex
    body = {"email": f"{uuid4().hex}@people.example"}
    first = client.http.post("/contacts", json=body, headers={"idempotency-key": key})
    repeated_response = client.http.post("/contacts", json=body, headers={"idempotency-key": key})
    assert (first.status_code, repeated_response.status_code) == (201, 201)
    assert repeated_response.json() == first.json()
    assert repeated_response.headers["idempotent-replayed"] == "true"
    other_body_response = client.http.post(
        "/contacts", json={"email": "z@people.example"}, headers={"idempotency-key": key}
    )
    assert other_body_response.status_code == 422
    other_user_response = platform["admin@acme"].http.post("/contacts", json=body, headers={"idempotency-key": key})
    assert other_user_response.status_code == 409
    rows = platform.query("select response from email_sender.idempotency where key = %s and status is not null", key)
    assert rows
    assert all(body["email"].encode() not in row["response"] for row in rows)


def test_a_refused_request_does_not_use_up_its_idempotency_key(platform: Platform) -> None:
    client, key = platform["user@acme"].http, uuid4().hex
    assert client.post("/contacts", json={"email": "no"}, headers={"idempotency-key": key}).status_code == 422
    corrected_body = {"email": f"{uuid4().hex}@people.example"}
    assert client.post("/contacts", json=corrected_body, headers={"idempotency-key": key}).status_code == 201


def test_pages_of_a_list_miss_nothing(platform: Platform) -> None:
    client = platform["user@globex"]
    for _ in range(5):
        api.add_contact(client)
    all_ids = [contact["id"] for contact in client.get("/contacts", limit=200)["items"]]
    paged_ids: list[str] = []
    cursor: str | None = None
    while True:
        page = client.get("/contacts", limit=2, **({"cursor": cursor} if cursor else {}))
        paged_ids += [contact["id"] for contact in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert paged_ids == all_ids
    assert len(set(paged_ids)) >= 5
    for bad_cursor in ("nonsense", "1", "'; drop table contacts"):
        assert client.http.get("/contacts", params={"cursor": bad_cursor}).status_code == 422
    assert client.http.get("/contacts", params={"limit": 201}).status_code == 422


def test_a_stale_version_is_a_conflict(platform: Platform) -> None:
    client = platform["user@acme"].http
    body = {"name": f"t-{uuid4().hex}", "subject": "s", "body_text": "b"}
    created_response = client.post("/templates", json=body)
    path = f"/templates/{created_response.json()['id']}"
    assert created_response.headers["etag"] == '"1"'
    assert client.put(path, json=body, headers={"if-match": '"1"'}).headers["etag"] == '"2"'
    assert client.put(path, json=body, headers={"if-match": '"1"'}).status_code == 409
    assert client.put(path, json=body, headers={"if-match": "x"}).status_code == 422


def test_only_configured_origins_may_call_the_api(platform: Platform) -> None:
    preflight_headers = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    url = f"{platform.api}/vectors/search"
    allowed_response = httpx.options(url, headers={"origin": "http://localhost:3000", **preflight_headers})
    assert allowed_response.headers.get("access-control-allow-origin") == "http://localhost:3000"
    refused_response = httpx.options(url, headers={"origin": "https://evil.example", **preflight_headers})
    assert "access-control-allow-origin" not in refused_response.headers


def test_the_api_docs_load_nothing_from_other_sites(platform: Platform) -> None:
    page = httpx.get(f"{platform.api}/docs")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "https://" not in page.text
    document = httpx.get(f"{platform.api}/openapi.json").json()
    assert "/api/v1/vectors/search" in document["paths"]
    for asset in ("swagger-ui-bundle.min.js", "swagger-ui.min.css"):
        assert len(httpx.get(f"{platform.api}/docs/{asset}").content) > 10_000
    assert httpx.get(f"{platform.api}/docs/..%2fhandler.py").status_code == 404


def test_an_invalid_definition_is_explained_and_not_stored(platform: Platform) -> None:
    client = platform["user@acme"].http
    broken_definition = """
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
    response = client.post("/workflows", json={"definition": broken_definition})
    assert response.status_code == 422
    messages_by_pointer = {error["pointer"]: error["message"] for error in problem(response)["errors"]}
    assert "vectors.search" in messages_by_pointer["/steps/0/uses"]
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
    response = client.http.post(f"/workflows/{workflow['id']}/execute", json={"inputs": {}})
    assert response.status_code == 422
    assert "query" in problem(response)["errors"][0]["message"]


def test_a_filter_that_is_empty_is_no_missing_filter(platform: Platform) -> None:
    assert platform["user@acme"].http.get("/contacts", params={"email": ""}).status_code == 422


@pytest.mark.parametrize("point_id", ["9" * 5_000, str(2**64), "x"])
def test_what_is_no_id_of_a_point_is_refused(platform: Platform, point_id: str) -> None:
    """Python reads no number of more than 4,300 digits."""
    response = platform["user@acme"].http.delete(f"/vectors/{point_id}")
    assert (response.status_code, response.json()["code"]) == (422, "invalid_input")
