"""Requests that must come through CloudFront."""

from collections.abc import Iterator
from hashlib import sha256
from types import SimpleNamespace
from typing import Any

import pytest

from email_sender.coordination.manager_gate import ManagerGate
from email_sender.errors import Forbidden
from email_sender.kit import origin
from email_sender.kit.http import create_app, lambda_handler


def request(key: str | None, *, through_api: bool = True) -> Any:
    context = {"apiId": "a1b2c3"} if through_api else {}
    headers = [] if key is None else [(b"x-origin-key", key.encode())]
    return {"headers": headers, "aws.event": {"requestContext": context}}


@pytest.fixture
def required(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    hashes = ",".join(sha256(key.encode()).hexdigest() for key in ("new", "old"))
    monkeypatch.setenv("ORIGIN_KEY_HASHES", hashes)
    monkeypatch.setenv("STAGE", "prod")
    origin._hashes.cache_clear()
    yield
    origin._hashes.cache_clear()


@pytest.mark.usefixtures("required")
@pytest.mark.parametrize("key", ["new", "old"])
def test_the_keys_of_this_and_of_the_last_deployment_are_accepted(key: str) -> None:
    origin.check_origin(request(key))


@pytest.mark.usefixtures("required")
@pytest.mark.parametrize("key", [None, "", "other", sha256(b"new").hexdigest()])
def test_a_request_without_the_key_is_refused(key: str | None) -> None:
    with pytest.raises(Forbidden):
        origin.check_origin(request(key))


@pytest.mark.usefixtures("required")
def test_who_may_invoke_the_function_needs_no_key() -> None:
    origin.check_origin(request(None, through_api=False))


@pytest.mark.usefixtures("required")
@pytest.mark.parametrize(("key", "status"), [("new", 404), ("other", 403), (None, 403)])
def test_every_http_function_refuses_other_requests_before_anything_else(key: str | None, status: int) -> None:
    app = create_app("test", [], lambda: ManagerGate(lambda: (), lambda: 0.0))
    http = {"method": "GET", "path": "/api/v1/nothing", "sourceIp": "192.0.2.1", "protocol": "HTTP/1.1"}
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": http["path"],
        "rawQueryString": "",
        "headers": {"host": "api.example", **({} if key is None else {"x-origin-key": key})},
        "requestContext": {"apiId": "a1b2c3", "requestId": "request-1", "stage": "$default", "http": http},
        "isBase64Encoded": False,
    }
    context = SimpleNamespace(
        function_name="f", memory_limit_in_mb=512, invoked_function_arn="arn", aws_request_id="r"
    )  # fmt: skip
    assert lambda_handler(app)(event, context)["statusCode"] == status


def test_without_hashes_requests_come_from_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORIGIN_KEY_HASHES", "")
    monkeypatch.setenv("STAGE", "dev")
    origin._hashes.cache_clear()
    origin.check_origin(request(None))
    origin._hashes.cache_clear()
