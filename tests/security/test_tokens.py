"""Tests for every route with every role, and with every token that must be rejected."""

import base64
import importlib
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from email_sender.kit.http import RouteInfo, routes_of
from email_sender.security.permissions import GRANTS, Permission, Role
from tests.conftest import Platform
from tests.fakes import mailboxes

AREAS = ("gateway", "vectors", "workflows", "messaging", "coordinator")
ROUTES = [route for area in AREAS for route in routes_of(importlib.import_module(f"{area}_lambda.http.handler").app)]
PROTECTED = [route for route in ROUTES if route.permission is not None]
USERS = {
    Role.READONLY: "readonly@acme",
    Role.USER: "user@acme",
    Role.ADMIN: "admin@acme",
    Role.OPERATOR: "operator@platform",
}


# One client for all tests: creating a client loads every certificate authority of the system.
HTTP = httpx.Client()


def name_of(route: RouteInfo) -> str:
    return f"{route.method} {route.path.removeprefix('/api/v1')}"


def call(platform: Platform, route: RouteInfo, token: str | None) -> httpx.Response:
    """Call a route with unknown ids and an empty body, so an authorized request fails only for those."""
    path = re.sub(r"\{[a-z_]+\}", str(uuid4()), route.path)
    headers = {"authorization": f"Bearer {token}"} if token else {}
    body: dict[str, Any] = {"json": {}} if route.method in ("POST", "PUT") else {}
    return HTTP.request(route.method, platform.cloud.api_url + path, headers=headers, timeout=30, **body)


def token_of(platform: Platform, username: str) -> str:
    return str(platform[username].http.headers["authorization"]).removeprefix("Bearer ")


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


@dataclass(frozen=True)
class Forger:
    """Creates tokens like those of the user pool, signed with another key."""

    valid_token: str
    key: rsa.RSAPrivateKey

    def signed(self, **changes: Any) -> str:
        kid = jwt.get_unverified_header(self.valid_token)["kid"]
        claims = {name: value for name, value in (claims_of(self.valid_token) | changes).items() if value is not None}
        return jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": kid})

    def unsigned(self) -> str:
        return jwt.encode(claims_of(self.valid_token), "", algorithm="none")

    def with_public_key_as_secret(self) -> str:
        kid = jwt.get_unverified_header(self.valid_token)["kid"]
        return jwt.encode(claims_of(self.valid_token), "k" * 64, algorithm="HS256", headers={"kid": kid})

    def tampered(self) -> str:
        header, _, signature = self.valid_token.split(".")
        claims = claims_of(self.valid_token) | {"role": "admin", "tenant_id": "01930000-0000-7000-8000-00000000000b"}
        payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
        return f"{header}.{payload}.{signature}"


@pytest.fixture(scope="module")
def forger(platform: Platform) -> Forger:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return Forger(token_of(platform, "user@acme"), key)


def bad_tokens(platform: Platform, forger: Forger) -> Iterator[tuple[str, str | None]]:
    yield "no token", None
    yield "not a token", "abc"
    yield "other key", forger.signed()
    yield "alg none", forger.unsigned()
    yield "HS256", forger.with_public_key_as_secret()
    yield "tampered", forger.tampered()
    yield "expired, other key", forger.signed(exp=int(time.time()) - 60)
    yield "other issuer", forger.signed(iss="https://cognito-idp.us-east-1.amazonaws.com/us-east-1_other")
    yield "other audience", forger.signed(client_id="another")
    yield "ID token", id_token(platform)


def id_token(platform: Platform) -> str:
    user = next(user for user in platform.users if user.username == "admin@acme")
    response = platform.aws("cognito-idp").initiate_auth(
        ClientId=platform.cloud.outputs["UserPoolClientId"],
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": user.username, "PASSWORD": user.password},
    )
    return str(response["AuthenticationResult"]["IdToken"])


def test_the_deployed_routes_are_exactly_the_routes_of_the_apps(platform: Platform) -> None:
    api = platform.aws("apigatewayv2")
    deployed = {
        route["RouteKey"]: route.get("AuthorizationType", "NONE")
        for page in api.get_paginator("get_routes").paginate(ApiId=platform.cloud.outputs["ApiId"])
        for route in page["Items"]
    }
    expected_routes = {
        f"{route.method} {route.path}": "NONE" if route.permission is None else "JWT" for route in ROUTES
    }
    expected_routes |= {f"GET /{path}": "NONE" for path in ("health", "version")}
    expected_routes |= {f"GET /{path}": "JWT" for path in ("status", "metrics")}
    expected_routes |= {f"GET /api/v1/{path}": "NONE" for path in ("docs", "docs/{asset}", "openapi.json")}
    # The console verifies its sessions itself (tests/e2e/console/test_sessions.py).
    expected_routes |= {
        f"{method} {path}": "NONE" for method in ("GET", "POST") for path in ("/console", "/console/{proxy+}")
    }
    assert deployed == expected_routes


@pytest.mark.parametrize("route", PROTECTED, ids=name_of)
def test_a_role_can_use_exactly_the_routes_that_its_permissions_allow(platform: Platform, route: RouteInfo) -> None:
    for role, username in USERS.items():
        response = call(platform, route, token_of(platform, username))
        if route.permission in GRANTS[role]:
            assert response.status_code in (200, 202, 204, 404, 409, 422), (role, response.text)
        else:
            assert response.status_code == 403, (role, response.text)
            assert response.json()["code"] == "forbidden"
        assert response.headers["x-request-id"]


@pytest.mark.parametrize("route", PROTECTED, ids=name_of)
def test_no_bad_token_is_accepted_on_any_route(platform: Platform, forger: Forger, route: RouteInfo) -> None:
    for description, token in bad_tokens(platform, forger):
        response = call(platform, route, token)
        assert response.status_code == 401, (description, response.text)


@pytest.mark.parametrize("route", [route for route in ROUTES if route.permission is None], ids=name_of)
def test_public_routes_need_no_token(platform: Platform, route: RouteInfo) -> None:
    response = call(platform, route, None)
    if "/hooks/callbacks/" in route.path:
        # The URL is the key (tests/e2e/test_http_request.py), and this request has no body.
        assert response.status_code == 422
    elif "/hooks/" in route.path:
        # The webhook routes require a signature instead of a token.
        assert (response.status_code, "signature" in response.json()["detail"]) == (401, True)
    else:
        assert response.status_code not in (401, 403)


def test_the_health_route_rejects_bad_tokens_too(platform: Platform, forger: Forger) -> None:
    for description, token in bad_tokens(platform, forger):
        if token is not None:
            response = httpx.get(f"{platform.api}/health", headers={"authorization": f"Bearer {token}"})
            assert response.status_code == 401, (description, response.text)
    assert "dependencies" not in httpx.get(f"{platform.api}/health").json()
    health = platform["readonly@acme"].get("/health")
    assert health["dependencies"] == {"postgresql": "up", "qdrant": "up"}


TENANT_ROUTES = [
    route
    for route in PROTECTED
    # Platform routes are for operators and show no data of a tenant; the test of roles covers them.
    if "{" in route.path and route.permission not in (Permission.PLATFORM_READ, Permission.PLATFORM_OPERATE)
]


@pytest.mark.parametrize("route", TENANT_ROUTES, ids=name_of)
def test_resources_of_another_tenant_are_not_found(
    platform: Platform, resources: dict[str, str], route: RouteInfo
) -> None:
    path = route.path
    for parameter, value in resources.items():
        path = path.replace("{" + parameter + "}", value)
    assert "{" not in path
    if path.endswith("/diff"):
        path += "?before=1&after=1"
    stranger = token_of(platform, "admin@globex")
    bodies: dict[str, Any] = {
        "PUT /api/v1/contacts/{contact_id}": {"name": "mine"},
        "PUT /api/v1/templates/{template_id}": {"name": "mine", "subject": "s", "body_text": "b"},
        "PUT /api/v1/workflows/{workflow_id}": {
            "definition": {"name": "mine", "steps": [{"id": "w", "uses": "wait", "with": {"seconds": 1}}]}
        },
        "PUT /api/v1/messages/{message_id}/class": {"class": "person"},
        "POST /api/v1/approvals/{approval_id}": {"decision": "approved"},
        "POST /api/v1/emails/{email_id}/settle": {"decision": "sent"},
        "POST /api/v1/workflows/{workflow_id}/execute": {"inputs": {}},
        "POST /api/v1/runs/{run_id}/cancel": {},
        "POST /api/v1/runs/{run_id}/retry": {},
        "POST /api/v1/templates/{template_id}/preview": {},
        "POST /api/v1/workflows/{workflow_id}/triggers/{trigger_id}/secret": {},
        "PUT /api/v1/drafts/{draft_id}": {"subject": "s", "text": "t", "sha256": "0" * 64},
        "PUT /api/v1/webhooks/{webhook_id}": {"url": "https://evil.example", "types": ["*"]},
        "POST /api/v1/webhooks/{webhook_id}/replay": {},
        "PUT /api/v1/members/{member_id}": {"role": "admin"},
        "POST /api/v1/contacts/{contact_id}/consents": {
            "purpose": "p",
            "source": "s",
            "given_at": "2026-01-01T00:00:00Z",
        },
        "POST /api/v1/contacts/{contact_id}/consents/{consent_id}/withdraw": {},
    }
    key = f"{route.method} {route.path}"
    body: dict[str, Any] = {"json": bodies[key]} if key in bodies else {}
    response = HTTP.request(
        route.method,
        platform.cloud.api_url + path,
        headers={"authorization": f"Bearer {stranger}"},
        timeout=30,
        **body,
    )
    assert response.status_code == 404, response.text


@pytest.fixture(scope="module")
def resources(platform: Platform) -> dict[str, str]:
    """One resource of each kind, owned by the tenant acme."""
    from tests.e2e import api

    admin = platform["admin@acme"]
    contact, template = api.add_contact(admin), api.add_template(admin)
    point = str(uuid4())
    admin.post("/vectors/insert", {"collection": "document_vectors", "points": [{"id": point, "vector": [0.5] * 768}]})
    created = admin.post("/vectors/imports", {"file_name": "x", "size_bytes": 1})
    letter = {**api.mail_workflow(template["name"], [contact["id"]]), "triggers": [{"webhook": {}}]}
    run = api.start_run(admin, letter)
    decided = api.decide(admin, run["id"], "approved")
    api.wait_for_run(admin, run["id"])
    (email,) = api.emails_of(admin, run["id"])
    channel = admin.post("/notifications/channels", {"name": uuid4().hex, "kind": "log"})
    webhook = admin.post("/webhooks", {"url": "https://receiver.example", "types": ["nothing"]})
    api.import_mailbox(admin, mailboxes.ordinary(1))
    tenant = next(user.tenant_id for user in platform.users if user.tenant == "acme")
    (message, *_) = platform.query("select id::text as name from email_sender.messages where tenant_id = %s", tenant)
    given = {"purpose": "p", "source": "s", "given_at": "2026-01-01T00:00:00Z"}
    consent = admin.post(f"/contacts/{contact['id']}/consents", given)
    return {
        "consent_id": consent["id"],
        "message_id": message["name"],
        "channel_id": channel["id"],
        "contact_id": contact["id"],
        "template_id": template["id"],
        "point_id": point,
        "import_id": created["job_id"],
        "workflow_id": run["workflow_id"],
        "trigger_id": admin.get(f"/workflows/{run['workflow_id']}/triggers")["items"][0]["id"],
        "job_id": run["id"],
        "run_id": run["id"],
        # With items that a run has: tests/e2e/test_n8n_services.py.
        "items_id": run["id"],
        "approval_id": decided["id"],
        "draft_id": email["draft_id"],
        "email_id": email["id"],
        "address": contact["email"],
        "member_id": "readonly@acme",
        "webhook_id": webhook["id"],
    }


def test_a_different_tenant_named_in_the_request_is_rejected(platform: Platform) -> None:
    client = platform["admin@acme"].http
    other_tenant = "01930000-0000-7000-8000-00000000000b"
    assert client.get("/contacts", headers={"x-tenant-id": other_tenant}).status_code == 403
    assert client.get("/contacts", params={"tenant_id": other_tenant}).status_code == 403
    assert client.post("/contacts", json={"email": "a@b.example", "tenant_id": other_tenant}).status_code == 422
    own_tenant = next(user.tenant_id for user in platform.users if user.tenant == "acme")
    assert client.get("/contacts", headers={"x-tenant-id": own_tenant}).status_code == 200


def test_a_refresh_token_gives_a_new_access_token(platform: Platform) -> None:
    user = next(user for user in platform.users if user.username == "user@acme")
    first = platform[user.username].post("/auth/token", {"username": user.username, "password": user.password})
    second = platform[user.username].post("/auth/refresh", {"refresh_token": first["refresh_token"]})
    response = httpx.get(f"{platform.api}/contacts", headers={"authorization": f"Bearer {second['access_token']}"})
    assert response.status_code == 200


def test_a_refresh_token_is_revoked_at_sign_out(platform: Platform) -> None:
    user = next(user for user in platform.users if user.username == "user@acme")
    client = platform[user.username]
    tokens = client.post("/auth/token", {"username": user.username, "password": user.password})
    for _ in range(2):
        client.post("/auth/logout", {"refresh_token": tokens["refresh_token"]})
    response = httpx.post(f"{platform.api}/auth/refresh", json={"refresh_token": tokens["refresh_token"]}, timeout=30)
    assert response.status_code == 401


def test_all_wrong_credentials_get_the_same_response(platform: Platform) -> None:
    responses = [
        httpx.post(f"{platform.api}/auth/token", json={"username": name, "password": "wrong"}, timeout=30)
        for name in ("admin@acme", "nobody@acme")
    ]
    responses.append(httpx.post(f"{platform.api}/auth/refresh", json={"refresh_token": "wrong"}, timeout=30))
    assert [response.status_code for response in responses] == [401, 401, 401]
    assert len({response.json()["detail"] for response in responses}) == 1


def test_readers_see_masked_addresses(platform: Platform, resources: dict[str, str]) -> None:
    contact = platform["readonly@acme"].get(f"/contacts/{resources['contact_id']}")
    assert resources["address"] not in json.dumps(contact)
    assert contact["email"] == resources["address"][0] + "***@p***"


# What a person, or a program, could still write to.
ADDRESS = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")
READER_ROUTES = [
    route for route in PROTECTED
    if route.method == "GET" and route.permission is not None and route.permission in GRANTS[Role.READONLY]
]  # fmt: skip


@pytest.mark.parametrize("route", READER_ROUTES, ids=name_of)
def test_no_answer_to_a_reader_has_an_address_or_a_live_unsubscribe_link(
    platform: Platform, resources: dict[str, str], route: RouteInfo
) -> None:
    path = route.path
    for parameter, value in resources.items():
        path = path.replace("{" + parameter + "}", value)
    path += "?before=1&after=1" if path.endswith("/diff") else ""
    response = platform["readonly@acme"].http.get(platform.cloud.api_url + path)
    assert ADDRESS.findall(response.text) == []
    assert "/unsubscribe/v1" not in response.text
    assert int(response.headers["content-length"]) == len(response.content)


def test_a_reader_cannot_unsubscribe_a_contact_with_a_preview_or_a_draft(
    platform: Platform, resources: dict[str, str]
) -> None:
    reader, admin = platform["readonly@acme"], platform["admin@acme"]
    preview = f"/templates/{resources['template_id']}/preview"
    shown = json.dumps([reader.post(preview, {}), reader.get(f"/drafts/{resources['draft_id']}")])
    # The template has the link; whoever may write sees it.
    assert "/unsubscribe/" in json.dumps(admin.get(f"/drafts/{resources['draft_id']}"))
    assert "/unsubscribe/v1" not in shown
    assert ADDRESS.findall(shown) == []
