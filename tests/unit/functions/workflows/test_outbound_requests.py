"""The function that sends requests with tenants' secrets."""

import base64
import json
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from email_sender.adapters.web.outbound_http import Request, Response
from workflows_lambda.events import outbound_requests

TENANT = uuid4()
CONTEXT: Any = SimpleNamespace(
    function_name="f", memory_limit_in_mb=512, invoked_function_arn="arn", aws_request_id="r"
)  # fmt: skip


class Secrets:
    def get_secret_value(self, SecretId: str) -> dict[str, str]:
        assert SecretId == f"prefix/tenants/{TENANT}/crm"
        return {"SecretString": json.dumps({"value": "Bearer hunter2", "hosts": ["crm.example.com"]})}


class Web:
    """Answers with what it was sent."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def fetch(self, request: Request, seconds: float) -> Response:
        self.requests.append(request)
        return Response(200, {"echo": request.headers["authorization"]}, {"sent": [request.headers["authorization"]]})


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Web:
    web = Web()
    monkeypatch.setattr(outbound_requests, "_outbound", lambda: web)
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
