"""Tests for what all API responses have in common, through the handler that Lambda calls."""

import base64
import itertools
import json
import time
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Annotated, Any
from uuid import UUID

import pytest
from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from email_sender import errors
from email_sender.adapters.postgres.stale_reads import accepted_age
from email_sender.coordination.manager_gate import ManagerGate
from email_sender.errors import DomainError, Problem
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.edge import MAX_BODY_BYTES, MAX_RESPONSE_BYTES
from email_sender.kit.http import RouteInfo, create_app, lambda_handler, routes_of
from email_sender.kit.query_parameters import Cursor, Limit, parse_id_cursor, parse_if_match
from email_sender.kit.rate_limiting import LimitSettings, buckets_of
from email_sender.security.permissions import Permission
from email_sender.security.rate_limits import RateLimiter
from tests.unit.security.test_rate_limits import MemoryBuckets

LIMITS = LimitSettings(stage="test", limits_table="t", requests_per_client=60)
TENANT = "01930000-0000-7000-8000-00000000000a"
OTHER_TENANT = "01930000-0000-7000-8000-00000000000b"
HEADERS = {
    "strict-transport-security": "max-age=63072000; includeSubDomains",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-request-id": "request-1",
}
FAILURES: dict[str, DomainError] = {
    "invalid": errors.InvalidInput("Two things.", [Problem("/a~1b", "One."), Problem("/c/0", "Two.")]),
    "unauthenticated": errors.Unauthenticated("Who?"),
    "forbidden": errors.Forbidden("No."),
    "missing": errors.NotFound("Nothing."),
    "conflict": errors.Conflict("Twice."),
    "repeated": errors.InProgress("Wait.", 8),
    "limited": errors.RateLimited("Slowly.", 7),
    "unavailable": errors.Unavailable("Later.", 3),
    "stopped": errors.ManagerStopped("Stopped."),
    "unimplemented": errors.NotSupported("Not here."),
}

router = APIRouter()
Reader = Annotated[Principal, Depends(Requires(Permission.MESSAGING_READ))]
Writer = Annotated[Principal, Depends(Requires(Permission.MESSAGING_WRITE))]


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int


class ThingBody(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(max_length=20)]
    inner: list[Inner] = []


@router.get("/who")
async def show_caller(caller: Reader, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
    return {
        "tenant": str(caller.tenant_id),
        "role": caller.role,
        "cursor": str(parse_id_cursor(cursor)),
        "limit": limit,
    }


@router.post("/things", status_code=201)
async def create_thing(body: ThingBody, caller: Writer) -> dict[str, str]:
    return {"name": body.name}


@router.get("/fails/{kind}")
async def fails(kind: str) -> None:
    raise FAILURES[kind]


@router.get("/large/{kind}")
async def large(kind: str, size: int) -> str | list[str]:
    return "x" * size if kind == "text" else [""] * (size // 3)


@router.get("/old")
def old() -> float | None:
    """Read what is 2.2 s old, if the caller accepts that. A sync route runs in another thread."""
    if (accepted := accepted_age()) is None:
        return None
    accepted.read = 2.2
    return accepted.seconds


@router.get("/breaks")
async def breaks() -> None:
    raise RuntimeError("password=hunter2 at db.internal")


@router.post("/forms/{token}")
async def form(token: str) -> dict[str, str]:
    return {}


STOPPED: list[str] = []
GATE = ManagerGate(lambda: STOPPED, itertools.count(step=10).__next__)
app = create_app("test", [router], lambda: GATE, form_paths=["/api/v1/forms/"])
handle = lambda_handler(app)


@dataclass(frozen=True)
class ApiResponse:
    status: int
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def claims(**changes: Any) -> dict[str, Any]:
    defaults = {
        "sub": "ann",
        "tenant_id": TENANT,
        "role": "user",
        "token_use": "access",
        "exp": str(int(time.time()) + 60),
    }
    return {name: value for name, value in {**defaults, **changes}.items() if value is not None}


def call(
    method: str,
    path: str,
    body: str | bytes | None = None,
    *,
    token: dict[str, Any] | None = None,
    query: str = "",
    **headers: str,
) -> ApiResponse:
    """Call the handler. `token` holds the claims as the authorizer verified them; None sends no token."""
    event_headers = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        event_headers.setdefault("content-type", "application/json")
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": f"/api/v1{path}",
        "rawQueryString": query,
        "headers": {"host": "api.example", **event_headers},
        "requestContext": {
            "requestId": "request-1",
            "stage": "$default",
            "http": {"method": method, "path": f"/api/v1{path}", "sourceIp": "192.0.2.1", "protocol": "HTTP/1.1"},
            **({"authorizer": {"jwt": {"claims": token, "scopes": None}}} if token is not None else {}),
        },
        "body": base64.b64encode(body).decode() if isinstance(body, bytes) else body,
        "isBase64Encoded": isinstance(body, bytes),
    }
    context = SimpleNamespace(
        function_name="f", memory_limit_in_mb=512, invoked_function_arn="arn", aws_request_id="r"
    )  # fmt: skip
    response = handle(event, context)
    return ApiResponse(response["statusCode"], response["headers"], response["body"])


def test_the_caller_comes_from_the_authorizers_claims() -> None:
    response = call("GET", "/who", token=claims(), query="limit=3")
    assert (response.status, response.json) == (200, {"tenant": TENANT, "role": "user", "cursor": "None", "limit": 3})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/who", 200), ("GET", "/nothing", 404), ("PATCH", "/who", 405), ("GET", "/fails/missing", 404),
        ("GET", "/breaks", 500), ("POST", "/things", 422), ("GET", "/fails/unavailable", 503),
    ],
)  # fmt: skip
def test_every_response_has_the_security_headers_and_the_request_id(method: str, path: str, status: int) -> None:
    response = call(method, path, "{}" if method == "POST" else None, token=claims())
    assert response.status == status
    assert {name: response.headers.get(name) for name in HEADERS} == HEADERS


@pytest.mark.parametrize(
    ("cache_control", "accepted_seconds"),
    [
        ("max-stale=5", 5.0), ("no-cache, Max-Stale=0", 0.0), ("max-stale=86400", 300.0), ("max-stale", None),
        ("max-stale=-1", None), ("max-stale=soon", None), ("no-store", None),
    ],
)  # fmt: skip
def test_a_reader_may_accept_an_age_and_learns_the_age(cache_control: str, accepted_seconds: float | None) -> None:
    response = call("GET", "/old", cache_control=cache_control)
    assert (response.json, response.headers.get("age")) == (
        accepted_seconds,
        "3" if accepted_seconds is not None else None,
    )
    # The next request does not inherit it.
    assert call("GET", "/old").json is None


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_with_another_content_type_is_rejected_before_it_is_read(content_type: str) -> None:
    response = call("POST", "/things", "{", token=claims(), content_type=content_type)
    assert (response.status, response.json["code"]) == (415, "unsupported_media_type")
    assert {name: response.headers.get(name) for name in HEADERS} == HEADERS


def test_the_content_type_may_name_a_charset() -> None:
    body = '{"name": "x"}'
    assert call("POST", "/things", body, token=claims(), content_type="application/json; charset=utf-8").status == 201


def test_a_form_is_accepted_on_a_form_path() -> None:
    form = "List-Unsubscribe=One-Click"
    response = call("POST", "/forms/t", form, content_type="application/x-www-form-urlencoded")
    assert response.status == 200


@pytest.mark.parametrize(
    "body",
    ["x" * (MAX_BODY_BYTES + 1), b"x" * (MAX_BODY_BYTES + 3), "€" * (MAX_BODY_BYTES // 3 + 1)],
    ids=["text", "base64", "characters of three bytes"],
)
def test_a_body_over_five_megabytes_is_rejected_with_a_hint_at_the_import_route(body: str | bytes) -> None:
    response = call("POST", "/things", body, token=claims())
    assert (response.status, response.json["code"]) == (413, "payload_too_large")
    assert "/api/v1/vectors/imports" in response.json["detail"]


@pytest.mark.parametrize(
    ("kind", "size", "status"),
    [
        ("text", MAX_RESPONSE_BYTES - 10, 200), ("text", MAX_RESPONSE_BYTES + 1, 413),
        # Each `"",` takes five bytes in Lambda's JSON.
        ("quotes", MAX_RESPONSE_BYTES * 3 // 5 - 10, 200), ("quotes", MAX_RESPONSE_BYTES * 3 // 5 + 10, 413),
    ],
)  # fmt: skip
def test_a_response_too_large_for_lambda_is_a_413_with_advice(kind: str, size: int, status: int) -> None:
    response = call("GET", f"/large/{kind}", query=f"size={size}")
    assert response.status == status
    assert response.headers.items() >= HEADERS.items()
    assert len(json.dumps({"body": response.body, "headers": response.headers}).encode()) < 6_291_556
    if status == 413:
        assert response.json["code"] == "payload_too_large"
        assert "smaller limit" in response.json["detail"]
        assert response.headers["content-length"] == str(len(response.body))


def test_a_body_that_is_not_json_is_a_400() -> None:
    response = call("POST", "/things", "{not json", token=claims())
    assert (response.status, response.json["code"]) == (400, "invalid_input")


def test_invalid_input_is_a_problem_document_with_a_pointer_to_each_mistake() -> None:
    response = call("POST", "/things", '{"name": 3, "inner": [{"size": 1}, {"size": "x"}], "a/b": 1}', token=claims())
    assert response.status == 422
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json
    field_errors = problem.pop("errors")
    assert problem == {
        "type": "urn:email-sender:invalid_input",
        "title": "The input is invalid",
        "status": 422,
        "detail": field_errors[0]["message"],
        "instance": "/api/v1/things",
        "code": "invalid_input",
        "request_id": "request-1",
    }
    assert {field_error["pointer"] for field_error in field_errors} == {"/name", "/inner/1/size", "/a~1b"}
    assert all(field_error["message"] for field_error in field_errors)


@pytest.mark.parametrize("key", ["tenant_id", "role"])
def test_an_unknown_key_is_rejected_even_if_it_names_a_tenant(key: str) -> None:
    response = call("POST", "/things", json.dumps({"name": "x", key: TENANT}), token=claims())
    assert (response.status, response.json["errors"][0]["pointer"]) == (422, f"/{key}")


def test_an_unknown_query_parameter_is_rejected_and_the_known_ones_are_listed() -> None:
    response = call("GET", "/who", token=claims(), query="limit=3&runid=1&status=sent")
    assert response.status == 422
    assert response.json["detail"] == "`runid` is not a parameter of this route. It has: cursor, limit."
    assert [error["pointer"] for error in response.json["errors"]] == ["query:runid", "query:status"]
    assert call("POST", "/things", '{"name": "n"}', token=claims(), query="dry_run=1").status == 422


def test_a_caller_without_a_token_learns_nothing_about_parameters() -> None:
    assert call("GET", "/who", query="runid=1").status == 401


def test_a_public_route_ignores_unknown_query_parameters() -> None:
    assert call("GET", "/large/text", query="size=1&utm_source=mail").status == 200


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x"])
def test_an_invalid_query_parameter_is_named(query: str) -> None:
    response = call("GET", "/who", token=claims(), query=query)
    assert (response.status, response.json["errors"][0]["pointer"]) == (422, "query:limit")


def test_an_invalid_cursor_is_rejected() -> None:
    response = call("GET", "/who", token=claims(), query="cursor=nope")
    assert (response.status, response.json["errors"][0]["pointer"]) == (422, "query:cursor")


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("invalid", 422, "invalid_input"),
        ("unauthenticated", 401, "unauthenticated"),
        ("forbidden", 403, "forbidden"),
        ("missing", 404, "not_found"),
        ("conflict", 409, "conflict"),
        ("repeated", 409, "request_in_progress"),
        ("limited", 429, "rate_limited"),
        ("unavailable", 503, "unavailable"),
        ("stopped", 503, "manager_stopped"),
        ("unimplemented", 501, "not_implemented"),
    ],
)
def test_each_domain_error_has_its_status_and_code(kind: str, status: int, code: str) -> None:
    response = call("GET", f"/fails/{kind}")
    assert (response.status, response.json["status"], response.json["code"]) == (status, status, code)
    assert response.json["detail"] == FAILURES[kind].detail


def test_a_transient_error_has_a_retry_after_header() -> None:
    assert call("GET", "/fails/limited").headers["retry-after"] == "7"
    assert call("GET", "/fails/unavailable").headers["retry-after"] == "3"
    assert "retry-after" not in call("GET", "/fails/conflict").headers
    assert call("GET", "/fails/repeated").headers["retry-after"] == "8"


def test_an_error_with_problems_lists_them() -> None:
    assert call("GET", "/fails/invalid").json["errors"] == [
        {"pointer": "/a~1b", "message": "One."},
        {"pointer": "/c/0", "message": "Two."},
    ]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/nothing", 404, "not_found"), ("DELETE", "/things", 405, "method_not_allowed")],
)
def test_an_unknown_route_or_method_is_a_problem_document_too(method: str, path: str, status: int, code: str) -> None:
    response = call(method, path, token=claims())
    assert (response.status, response.json["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"


def test_an_unexpected_exception_is_a_500_without_details() -> None:
    response = call("GET", "/breaks")
    assert (response.status, response.json["code"], response.json["request_id"]) == (500, "internal", "request-1")
    assert "hunter2" not in response.body
    assert "RuntimeError" not in response.body


@pytest.mark.parametrize("headers", [{"x_tenant_id": OTHER_TENANT}, {"x_tenant_id": "x"}, {"x_tenant_id": ""}])
def test_a_different_tenant_in_a_header_is_rejected(headers: dict[str, str]) -> None:
    assert call("GET", "/who", token=claims(), **headers).status == 403


def test_a_different_tenant_in_the_query_is_rejected_and_never_used() -> None:
    assert call("GET", "/who", token=claims(), query=f"tenant_id={OTHER_TENANT}").status == 403
    response = call("GET", "/who", token=claims(), query=f"tenant_id={TENANT}", x_tenant_id=TENANT)
    assert (response.status, response.json["tenant"]) == (200, TENANT)


@pytest.mark.parametrize(
    "token",
    [
        None,
        {},
        claims(token_use="id"),
        claims(token_use=None),
        claims(exp=str(int(time.time()) - 1)),
        claims(exp="soon"),
        claims(exp=None),
        claims(sub=None),
        claims(tenant_id=None),
        claims(tenant_id="acme"),
        claims(role=None),
        claims(role="root"),
    ],
    ids=[
        "none", "empty", "an ID token", "no use", "expired", "bad exp", "no exp", "no sub", "no tenant", "bad tenant",
        "no role", "bad role",
    ],
)  # fmt: skip
def test_an_invalid_access_token_is_a_401(token: dict[str, Any] | None) -> None:
    response = call("GET", "/who", token=token)
    assert (response.status, response.json["code"]) == (401, "unauthenticated")


def test_a_role_without_the_permission_is_a_403_that_names_it() -> None:
    response = call("POST", "/things", '{"name": "x"}', token=claims(role="readonly"))
    assert (response.status, response.json["code"]) == (403, "forbidden")
    assert "messaging:write" in response.json["detail"]


def test_the_routes_of_a_stopped_manager_return_503_with_retry_after() -> None:
    STOPPED.append("api-gateway")
    try:
        response = call("GET", "/who", token=claims())
    finally:
        STOPPED.clear()
    assert (response.status, response.json["code"]) == (503, "manager_stopped")
    assert response.headers["retry-after"] == "5"
    assert call("GET", "/who", token=claims()).status == 200


def test_every_route_is_listed_with_the_permission_it_requires() -> None:
    routes = routes_of(app)
    assert RouteInfo("GET", "/api/v1/who", Permission.MESSAGING_READ) in routes
    assert RouteInfo("POST", "/api/v1/things", Permission.MESSAGING_WRITE) in routes
    assert RouteInfo("GET", "/api/v1/breaks", None) in routes


def test_cors_allows_only_configured_origins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "https://app.example")
    monkeypatch.setattr(__name__ + ".handle", lambda_handler(create_app("test", [router], lambda: GATE)))
    allowed_response = call("GET", "/who", token=claims(), origin="https://app.example")
    foreign_response = call("GET", "/who", token=claims(), origin="https://evil.example")
    assert allowed_response.headers["access-control-allow-origin"] == "https://app.example"
    assert "access-control-allow-origin" not in foreign_response.headers
    assert {name: allowed_response.headers.get(name) for name in HEADERS} == HEADERS


@pytest.mark.parametrize(("header", "version"), [(None, None), ('"3"', 3), ('W/"3"', 3), ("3", 3), (' "12" ', 12)])
def test_an_if_match_header_is_read_as_a_version(header: str | None, version: int | None) -> None:
    assert parse_if_match(header) == version


@pytest.mark.parametrize("header", ["", "*", '"x"', '"1", "2"'])
def test_an_invalid_if_match_header_is_rejected(header: str) -> None:
    with pytest.raises(errors.InvalidInput):
        parse_if_match(header)


def test_an_id_cursor_is_parsed() -> None:
    assert parse_id_cursor(None) is None
    assert parse_id_cursor(TENANT) == UUID(TENANT)


def test_a_request_beyond_its_limit_is_a_429_and_every_answer_names_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    limiter = RateLimiter(MemoryBuckets(), lambda: 1_000.0)
    limited = create_app("test", [router], lambda: GATE, lambda scope: limiter.take(buckets_of(scope, LIMITS)))
    monkeypatch.setattr(__name__ + ".handle", lambda_handler(limited))
    responses = [call("GET", "/who", token=claims()) for _ in range(11)]
    assert [response.status for response in responses] == [200] * 10 + [429]
    assert responses[0].headers["ratelimit-policy"] == '"client";q=60;w=60'
    assert [response.headers["ratelimit"] for response in responses[:2]] == ['"client";r=9;t=60', '"client";r=8;t=60']
    assert (responses[-1].json["code"], responses[-1].headers["retry-after"]) == ("rate_limited", "1")
    # Another user of the tenant is served.
    assert call("GET", "/who", token=claims(sub="bob")).status == 200
