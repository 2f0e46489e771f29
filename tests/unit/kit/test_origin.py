"""Requests that must come through CloudFront."""

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest

from email_sender.errors import Forbidden
from email_sender.kit import origin


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


def test_without_hashes_requests_come_from_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORIGIN_KEY_HASHES", "")
    monkeypatch.setenv("STAGE", "dev")
    origin._hashes.cache_clear()
    origin.check_origin(request(None))
    origin._hashes.cache_clear()
