"""What every answer of an API area has, through the same handler that Lambda calls."""

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
from email_sender.coordination.gate import Gate
from email_sender.errors import DomainError, Problem
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.http import MAX_ANSWER_BYTES, MAX_BODY_BYTES, RouteInfo, create_app, lambda_handler, routes_of
from email_sender.kit.params import Cursor, Limit, id_cursor, version_of
from email_sender.security.permissions import Permission

TENANT = "01930000-0000-7000-8000-00000000000a"
OTHER = "01930000-0000-7000-8000-00000000000b"
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
    "limited": errors.RateLimited("Slowly.", 7),
    "unavailable": errors.Unavailable("Later.", 3),
    "stopped": errors.ManagerStopped("Stopped."),
    "unimplemented": errors.NotImplementedHere("Not here."),
}

router = APIRouter()
Reader = Annotated[Principal, Depends(Requires(Permission.MESSAGING_READ))]
Writer = Annotated[Principal, Depends(Requires(Permission.MESSAGING_WRITE))]


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(max_length=20)]
    inner: list[Inner] = []


@router.get("/who")
async def who(caller: Reader, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
    return {"tenant": str(caller.tenant_id), "role": caller.role, "cursor": str(id_cursor(cursor)), "limit": limit}


@router.post("/things", status_code=201)
async def make(body: Body, caller: Writer) -> dict[str, str]:
    return {"name": body.name}


@router.get("/fails/{kind}")
async def fails(kind: str) -> None:
    raise FAILURES[kind]


@router.get("/large/{kind}")
async def large(kind: str, size: int) -> str | list[str]:
    return "x" * size if kind == "text" else [""] * (size // 3)


@router.get("/breaks")
async def breaks() -> None:
    raise RuntimeError("password=hunter2 at db.internal")


@router.post("/forms/{token}")
async def form(token: str) -> dict[str, str]:
    return {}


STOPPED: list[str] = []
GATE = Gate(lambda: STOPPED, itertools.count(step=10).__next__)
app = create_app("test", [router], lambda: GATE, form_paths=["/api/v1/forms/"])
handle = lambda_handler(app)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def claims(**changes: Any) -> dict[str, Any]:
    usual = {
        "sub": "ann",
        "tenant_id": TENANT,
        "role": "user",
        "token_use": "access",
        "exp": str(int(time.time()) + 60),
    }
    return {name: value for name, value in {**usual, **changes}.items() if value is not None}


def call(
    method: str,
    path: str,
    body: str | bytes | None = None,
    *,
    token: dict[str, Any] | None = None,
    query: str = "",
    **headers: str,
) -> Answer:
    """`token` holds claims as the authorizer verified them; None is a request without a token."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        named.setdefault("content-type", "application/json")
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": f"/api/v1{path}",
        "rawQueryString": query,
        "headers": {"host": "api.example", **named},
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
    answer = handle(event, context)
    return Answer(answer["statusCode"], answer["headers"], answer["body"])


def test_the_caller_is_who_the_authorizers_claims_say() -> None:
    answer = call("GET", "/who", token=claims(), query="limit=3")
    assert (answer.status, answer.json) == (200, {"tenant": TENANT, "role": "user", "cursor": "None", "limit": 3})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/who", 200), ("GET", "/nothing", 404), ("PATCH", "/who", 405), ("GET", "/fails/missing", 404),
        ("GET", "/breaks", 500), ("POST", "/things", 422), ("GET", "/fails/unavailable", 503),
    ],
)  # fmt: skip
def test_every_answer_has_the_security_headers_and_the_request_id(method: str, path: str, status: int) -> None:
    answer = call(method, path, "{}" if method == "POST" else None, token=claims())
    assert answer.status == status
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_that_does_not_say_it_is_json_is_refused_before_it_is_read(content_type: str) -> None:
    answer = call("POST", "/things", "{", token=claims(), content_type=content_type)
    assert (answer.status, answer.json["code"]) == (415, "unsupported_media_type")
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


def test_the_content_type_may_name_a_charset() -> None:
    body = '{"name": "x"}'
    assert call("POST", "/things", body, token=claims(), content_type="application/json; charset=utf-8").status == 201


def test_a_form_is_taken_where_a_standard_has_clients_post_one() -> None:
    form = "List-Unsubscribe=One-Click"
    answer = call("POST", "/forms/t", form, content_type="application/x-www-form-urlencoded")
    assert answer.status == 200


@pytest.mark.parametrize(
    "body",
    ["x" * (MAX_BODY_BYTES + 1), b"x" * (MAX_BODY_BYTES + 3), "€" * (MAX_BODY_BYTES // 3 + 1)],
    ids=["text", "base64", "characters of three bytes"],
)
def test_a_body_over_five_megabytes_is_refused_and_the_import_route_named(body: str | bytes) -> None:
    answer = call("POST", "/things", body, token=claims())
    assert (answer.status, answer.json["code"]) == (413, "payload_too_large")
    assert "/api/v1/vectors/imports" in answer.json["detail"]


@pytest.mark.parametrize(
    ("kind", "size", "status"),
    [
        ("text", MAX_ANSWER_BYTES - 10, 200), ("text", MAX_ANSWER_BYTES + 1, 413),
        # Of `"",` five bytes come to Lambda's JSON.
        ("quotes", MAX_ANSWER_BYTES * 3 // 5 - 10, 200), ("quotes", MAX_ANSWER_BYTES * 3 // 5 + 10, 413),
    ],
)  # fmt: skip
def test_an_answer_that_lambda_would_not_hand_on_is_a_413_that_says_what_to_do(
    kind: str, size: int, status: int
) -> None:
    answer = call("GET", f"/large/{kind}", query=f"size={size}")
    assert answer.status == status
    assert answer.headers.items() >= HEADERS.items()
    assert len(json.dumps({"body": answer.body, "headers": answer.headers}).encode()) < 6_291_556
    if status == 413:
        assert answer.json["code"] == "payload_too_large"
        assert "smaller limit" in answer.json["detail"]
        assert answer.headers["content-length"] == str(len(answer.body))


def test_a_body_that_is_not_json_is_a_400() -> None:
    answer = call("POST", "/things", "{not json", token=claims())
    assert (answer.status, answer.json["code"]) == (400, "invalid_input")


def test_bad_input_is_a_problem_document_with_a_pointer_to_each_mistake() -> None:
    answer = call("POST", "/things", '{"name": 3, "inner": [{"size": 1}, {"size": "x"}], "a/b": 1}', token=claims())
    assert answer.status == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json
    found = problem.pop("errors")
    assert problem == {
        "type": "urn:email-sender:invalid_input",
        "title": "The input is not valid",
        "status": 422,
        "detail": found[0]["message"],
        "instance": "/api/v1/things",
        "code": "invalid_input",
        "request_id": "request-1",
    }
    assert {each["pointer"] for each in found} == {"/name", "/inner/1/size", "/a~1b"}
    assert all(each["message"] for each in found)


@pytest.mark.parametrize("key", ["tenant_id", "role"])
def test_a_key_that_is_not_known_is_refused_also_where_it_would_name_a_tenant(key: str) -> None:
    answer = call("POST", "/things", json.dumps({"name": "x", key: TENANT}), token=claims())
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, f"/{key}")


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x"])
def test_a_bad_query_is_named(query: str) -> None:
    answer = call("GET", "/who", token=claims(), query=query)
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, "query:limit")


def test_a_cursor_of_somebody_elses_making_is_refused() -> None:
    answer = call("GET", "/who", token=claims(), query="cursor=nope")
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, "query:cursor")


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("invalid", 422, "invalid_input"),
        ("unauthenticated", 401, "unauthenticated"),
        ("forbidden", 403, "forbidden"),
        ("missing", 404, "not_found"),
        ("conflict", 409, "conflict"),
        ("limited", 429, "rate_limited"),
        ("unavailable", 503, "unavailable"),
        ("stopped", 503, "manager_stopped"),
        ("unimplemented", 501, "not_implemented"),
    ],
)
def test_each_error_of_the_domain_has_its_status_and_code(kind: str, status: int, code: str) -> None:
    answer = call("GET", f"/fails/{kind}")
    assert (answer.status, answer.json["status"], answer.json["code"]) == (status, status, code)
    assert answer.json["detail"] == FAILURES[kind].detail


def test_an_error_that_passes_by_itself_says_when_to_ask_again() -> None:
    assert call("GET", "/fails/limited").headers["retry-after"] == "7"
    assert call("GET", "/fails/unavailable").headers["retry-after"] == "3"
    assert "retry-after" not in call("GET", "/fails/conflict").headers


def test_an_error_with_problems_lists_them() -> None:
    assert call("GET", "/fails/invalid").json["errors"] == [
        {"pointer": "/a~1b", "message": "One."},
        {"pointer": "/c/0", "message": "Two."},
    ]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/nothing", 404, "not_found"), ("DELETE", "/things", 405, "method_not_allowed")],
)
def test_what_is_not_routed_is_a_problem_document_too(method: str, path: str, status: int, code: str) -> None:
    answer = call(method, path, token=claims())
    assert (answer.status, answer.json["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_unexpected_exception_is_a_500_that_says_nothing_of_it() -> None:
    answer = call("GET", "/breaks")
    assert (answer.status, answer.json["code"], answer.json["request_id"]) == (500, "internal", "request-1")
    assert "hunter2" not in answer.body
    assert "RuntimeError" not in answer.body


@pytest.mark.parametrize("headers", [{"x_tenant_id": OTHER}, {"x_tenant_id": "x"}, {"x_tenant_id": ""}])
def test_a_tenant_named_in_a_header_is_refused_where_it_differs(headers: dict[str, str]) -> None:
    assert call("GET", "/who", token=claims(), **headers).status == 403


def test_a_tenant_named_in_the_query_is_refused_where_it_differs_and_never_used() -> None:
    assert call("GET", "/who", token=claims(), query=f"tenant_id={OTHER}").status == 403
    same = call("GET", "/who", token=claims(), query=f"tenant_id={TENANT}", x_tenant_id=TENANT)
    assert (same.status, same.json["tenant"]) == (200, TENANT)


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
def test_a_token_that_is_not_a_current_access_token_of_ours_is_a_401(token: dict[str, Any] | None) -> None:
    answer = call("GET", "/who", token=token)
    assert (answer.status, answer.json["code"]) == (401, "unauthenticated")


def test_a_role_without_the_permission_is_a_403_that_names_it() -> None:
    answer = call("POST", "/things", '{"name": "x"}', token=claims(role="readonly"))
    assert (answer.status, answer.json["code"]) == (403, "forbidden")
    assert "messaging:write" in answer.json["detail"]


def test_a_stopped_managers_routes_answer_503_and_say_when_to_come_back() -> None:
    STOPPED.append("api-gateway")
    try:
        answer = call("GET", "/who", token=claims())
    finally:
        STOPPED.clear()
    assert (answer.status, answer.json["code"]) == (503, "manager_stopped")
    assert answer.headers["retry-after"] == "5"
    assert call("GET", "/who", token=claims()).status == 200


def test_every_route_is_listed_with_the_permission_it_asks_for() -> None:
    routes = routes_of(app)
    assert RouteInfo("GET", "/api/v1/who", Permission.MESSAGING_READ) in routes
    assert RouteInfo("POST", "/api/v1/things", Permission.MESSAGING_WRITE) in routes
    assert RouteInfo("GET", "/api/v1/breaks", None) in routes


def test_browsers_are_let_in_from_configured_origins_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "https://app.example")
    monkeypatch.setattr(__name__ + ".handle", lambda_handler(create_app("test", [router], lambda: GATE)))
    ours = call("GET", "/who", token=claims(), origin="https://app.example")
    theirs = call("GET", "/who", token=claims(), origin="https://evil.example")
    assert ours.headers["access-control-allow-origin"] == "https://app.example"
    assert "access-control-allow-origin" not in theirs.headers
    assert {name: ours.headers.get(name) for name in HEADERS} == HEADERS


@pytest.mark.parametrize(("header", "version"), [(None, None), ('"3"', 3), ('W/"3"', 3), ("3", 3), (' "12" ', 12)])
def test_if_match_is_a_version_as_etag_gave_it(header: str | None, version: int | None) -> None:
    assert version_of(header) == version


@pytest.mark.parametrize("header", ["", "*", '"x"', '"1", "2"'])
def test_an_if_match_that_is_no_version_is_refused(header: str) -> None:
    with pytest.raises(errors.InvalidInput):
        version_of(header)


def test_a_cursor_of_ids_is_read_back() -> None:
    assert id_cursor(None) is None
    assert id_cursor(TENANT) == UUID(TENANT)
