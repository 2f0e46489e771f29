"""The function that sends requests with tenants' secrets."""

import base64
import json
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import parse_qs
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from email_sender.adapters.web.access_tokens import AccessTokens
from email_sender.adapters.web.outbound_http import OutboundHttp, Request, Response
from email_sender.errors import DomainError, Unavailable
from workflows_lambda.events import outbound_requests

TENANT = uuid4()
CONTEXT: Any = SimpleNamespace(
    function_name="f", memory_limit_in_mb=512, invoked_function_arn="arn", aws_request_id="r"
)  # fmt: skip


OAUTH2 = {"token_url": "https://login.example.com/token", "client_id": "me", "refresh_token": "again"}
ACCOUNT = {
    "token_url": OAUTH2["token_url"],
    "client_id": "robot@project.example",
    "scope": "https://sheets.example/all",
    "grant": "jwt_bearer",
    "subject": "ann@people.example",
}
_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PRIVATE_KEY = _KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
SECRETS: dict[str, dict[str, Any]] = {
    "crm": {"value": "Bearer hunter2"},
    "header": {"value": "hunter2", "name": "X-Key"},
    "basic": {"value": "hunter2", "user": "ann"},
    "several": {"headers": {"x-id": "hunter1", "x-key": "hunter2"}, "query": {"account": "a/b c&d"}},
    "path": {"value": "a/b c"},
    "empty-header": {"headers": {"x-id": "", "x-key": "hunter2"}},
    "two-hosts": {"value": "hunter2", "hosts": ["crm.example.com", "eu.crm.example.com"]},
    "oauth2": {"value": "client-secret", "oauth2": OAUTH2},
    "account": {"value": PRIVATE_KEY, "oauth2": ACCOUNT},
    "no-key": {"value": "hunter2", "oauth2": ACCOUNT},
}


class Secrets:
    def get_secret_value(self, SecretId: str) -> dict[str, str]:
        name = SecretId.removeprefix(f"prefix/tenants/{TENANT}/")
        return {"SecretString": json.dumps({"hosts": ["crm.example.com"]} | SECRETS[name])}


class Web:
    """Answers with what it was sent."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.tokens: list[str] = []
        self.failure: DomainError | None = None
        self.content = b""

    def exchange(self, request: Request, _seconds: float, _redirects: int, _max_bytes: int) -> Response:
        self.requests.append(request)
        if self.failure:
            raise self.failure
        status = 401 if request.headers.get("authorization") == "Bearer old" else 200
        headers = {"content-type": "text/plain"}
        text = json.dumps({"url": request.url, **request.headers})
        return Response(status, headers, text, self.content or text.encode(), headers | {"x-rate": "5"})

    def fetch(self, request: Request, seconds: float) -> Response:
        self.requests.append(request)
        if request.url == OAUTH2["token_url"]:
            self.tokens.append(request.body.decode())
            return Response(200, {}, {"access_token": "old" if len(self.tokens) == 1 else "new", "expires_in": 3600})
        return Response(200, {"echo": request.headers["authorization"]}, {"sent": [request.headers["authorization"]]})


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Web:
    web = Web()
    monkeypatch.setattr(outbound_requests, "_outbound", lambda: web)
    tokens = AccessTokens(cast("OutboundHttp", web))
    monkeypatch.setattr(outbound_requests, "_access_tokens", lambda: tokens)
    monkeypatch.setattr(outbound_requests, "_secrets_prefix", lambda: "prefix")
    monkeypatch.setattr(outbound_requests, "client", lambda _service: Secrets())
    return web


def send(url: str) -> dict[str, Any]:
    event = {
        "tenant_id": str(TENANT), "method": "POST", "url": url, "headers": {"accept": "a"},
        "secret_headers": {"authorization": "crm"}, "body": base64.b64encode(b"{}").decode(), "seconds": 5,
    }  # fmt: skip
    return outbound_requests.handler(event, CONTEXT)


def test_the_secret_reaches_its_host_and_no_result(web: Web) -> None:
    result = send("https://crm.example.com/leads")
    assert web.requests[0].headers == {"accept": "a", "authorization": "Bearer hunter2"}
    assert result == {"status": 200, "headers": {"echo": "***"}, "body": {"sent": ["***"]}}


@pytest.mark.parametrize(
    "url", ["https://evil.example/", "http://crm.example.com/", "https://crm.example.com:99999/", "https://[::1"]
)
def test_nothing_is_sent_elsewhere(web: Web, url: str) -> None:
    with pytest.raises(Exception, match="secret crm") as error:
        send(url)
    assert type(error.value).__name__ == "forbidden"
    assert web.requests == []


# ---- Requests of nodes ----------------------------------------------------------------------------------------------


def send_of_node(url: str = "https://crm.example.com/a?b=1", /, **auth: str | bool) -> dict[str, Any]:
    event = {
        "kind": "node", "tenant_id": str(TENANT), "method": "GET", "url": url, "headers": {}, "seconds": 5,
        "auth": auth or None,
    }  # fmt: skip
    return outbound_requests.handler(event, CONTEXT)


@pytest.mark.parametrize(
    ("auth", "url", "headers"),
    [
        ({"secret": "header", "place": "header"}, "a?b=1", {"X-Key": "hunter2"}),
        ({"secret": "header", "place": "header", "name": "authorization", "prefix": "Bearer "}, "a?b=1",
         {"authorization": "Bearer hunter2"}),
        ({"secret": "crm", "place": "header", "prefix": "Bearer "}, "a?b=1", {"authorization": "Bearer hunter2"}),
        ({"secret": "header", "place": "query"}, "a?b=1&X-Key=hunter2", {}),
        ({"secret": "basic", "place": "basic"}, "a?b=1", {"authorization": "Basic YW5uOmh1bnRlcjI="}),
        ({"secret": "several", "place": "custom"}, "a?b=1&account=a%2Fb+c%26d",
         {"x-id": "hunter1", "x-key": "hunter2"}),
        ({"secret": "header", "place": "header", "name": "apikey", "bearer_too": True}, "a?b=1",
         {"apikey": "hunter2", "authorization": "Bearer hunter2"}),
    ],
)  # fmt: skip
def test_a_secret_stands_where_the_service_wants_it_and_in_no_result(
    web: Web, auth: dict[str, str | bool], url: str, headers: dict[str, str]
) -> None:
    result = send_of_node(**auth)
    assert (web.requests[0].url, web.requests[0].headers) == (f"https://crm.example.com/{url}", headers)
    assert (result["status"], result["headers"]["x-rate"]) == (200, "5")
    assert "hunter" not in result["text"]
    assert "a%2Fb" not in result["text"]
    assert "YW5uOmh1bnRlcjI=" not in result["text"]


def test_a_secret_can_be_part_of_a_path(web: Web) -> None:
    send_of_node("https://crm.example.com/bot{secret}/send", secret="header", place="url")
    assert web.requests[0].url == "https://crm.example.com/bothunter2/send"


def test_the_host_and_the_user_of_a_secret_can_be_parts_of_a_url(web: Web) -> None:
    send_of_node("https://{host}/accounts/{user}/messages", secret="basic", place="basic")
    assert web.requests[0].url == "https://crm.example.com/accounts/ann/messages"


def test_a_secret_of_several_hosts_does_not_say_which_one(web: Web) -> None:
    assert "several hosts" in send_of_node("https://{host}/", secret="two-hosts", place="header")["error"]
    assert web.requests == []


def test_a_secret_in_the_query_is_hidden_as_it_was_sent(web: Web) -> None:
    result = send_of_node(secret="path", place="query", name="key")
    assert web.requests[0].url.endswith("&key=a%2Fb+c")
    assert "a%2Fb" not in result["text"]


def test_an_empty_header_of_a_secret_changes_nothing_in_the_response(web: Web) -> None:
    result = send_of_node(secret="empty-header", place="custom")
    assert (result["status"], web.requests[0].headers["x-key"]) == (200, "hunter2")


@pytest.mark.parametrize(
    ("url", "auth", "error"),
    [
        ("https://crm.example.com/", {"secret": "several", "place": "header"}, "has no value, which"),
        ("https://crm.example.com/", {"secret": "header", "place": "custom"}, "has no headers and no fields"),
        ("https://crm.example.com/{user}", {"secret": "header", "place": "basic"}, "needs a user"),
    ],
)
def test_a_secret_that_lacks_what_the_node_needs_is_not_sent(
    web: Web, url: str, auth: dict[str, str | bool], error: str
) -> None:
    assert error in send_of_node(url, **auth)["error"]
    assert web.requests == []


def test_a_response_that_is_too_large_is_an_error_for_every_kind_of_secret(web: Web) -> None:
    web.content = "щ".encode() * 1_000_000
    for name in ("oauth2", "header"):
        assert "more than" in send_of_node(secret=name, place="header")["error"]


def test_a_secret_without_a_value_of_its_own_is_not_sent_as_one(web: Web) -> None:
    event = {
        "tenant_id": str(TENANT), "method": "GET", "url": "https://crm.example.com/", "headers": {},
        "secret_headers": {"authorization": "several"}, "body": "", "seconds": 5,
    }  # fmt: skip
    with pytest.raises(Exception, match="no value of its own"):
        outbound_requests.handler(event, CONTEXT)
    assert web.requests == []


def test_a_revoked_access_token_is_replaced_and_the_request_sent_again(web: Web) -> None:
    result = send_of_node(secret="oauth2", place="header")
    assert result["status"] == 200
    sent = [request.headers["authorization"] for request in web.requests if "login" not in request.url]
    assert sent == ["Bearer old", "Bearer new"]
    assert web.tokens == ["grant_type=refresh_token&refresh_token=again&client_id=me&client_secret=client-secret"] * 2
    send_of_node(secret="oauth2", place="header")
    assert len(web.tokens) == 2, "a token is used until it expires"


def test_a_service_account_signs_for_its_access_token(web: Web) -> None:
    assert send_of_node(secret="account", place="header")["status"] == 200
    sent = parse_qs(web.tokens[0])
    assert sent["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    claims = jwt.decode(sent["assertion"][0], _KEY.public_key(), ["RS256"], audience=ACCOUNT["token_url"])
    assert claims["exp"] - claims.pop("iat") == 3_600
    assert claims | {"exp": 0} == {
        "iss": "robot@project.example", "scope": "https://sheets.example/all", "aud": ACCOUNT["token_url"],
        "sub": "ann@people.example", "exp": 0,
    }  # fmt: skip
    assert PRIVATE_KEY not in web.tokens[0]


def test_a_service_account_without_a_private_key_is_named(web: Web) -> None:
    assert (
        send_of_node(secret="no-key", place="header")["error"] == "The secret no-key is no private key in PEM format."
    )
    assert web.requests == []


def test_whatever_happens_is_an_answer(web: Web) -> None:
    assert send_of_node("https://evil.example/", secret="crm", place="header")["error"].startswith("The secret crm is")
    assert web.requests == []
    web.failure = Unavailable("crm.example.com did not respond: too slow.")
    assert send_of_node() == {"error": "crm.example.com did not respond: too slow."}


def test_what_is_no_text_is_answered_in_base64(web: Web) -> None:
    web.content = b"\xff\xd8\xff"
    assert send_of_node()["base64"] == "/9j/"
