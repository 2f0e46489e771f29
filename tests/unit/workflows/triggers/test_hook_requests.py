"""Requests to webhooks from callers that cannot sign."""

from base64 import b64encode
from typing import Any
from urllib.parse import quote

import pytest

from email_sender.errors import InvalidInput
from email_sender.workflows.triggers.hook_requests import HookRequest, inputs_of, sends_secret

SECRET = "whsec_ab+c/d=="
FORM = "application/x-www-form-urlencoded"
JSON = "application/json; charset=utf-8"


def request(method: str = "POST", query: str = "", body: bytes = b"", **headers: str) -> HookRequest:
    return HookRequest(method, {name.replace("_", "-"): value for name, value in headers.items()}, query, body)


def basic(text: str) -> str:
    return f"Basic {b64encode(text.encode()).decode()}"


@pytest.mark.parametrize(
    "sent",
    [
        request(authorization=f"Bearer {SECRET}"),
        request(authorization=f"bearer  {SECRET} "),
        request(authorization=basic(f"anybody:{SECRET}")),
        request(query=f"a=1&secret={quote(SECRET)}"),
        request(query=f"secret=wrong&secret={quote(SECRET)}"),
        # Pasted into an address as it is.
        request(query=f"secret={SECRET}"),
    ],
)
def test_a_caller_sends_the_secret_where_it_can(sent: HookRequest) -> None:
    assert sends_secret(sent, SECRET)


@pytest.mark.parametrize(
    "sent",
    [
        request(),
        request(query="secret="),
        request(query="secret=whsec_other"),
        request(query=f"Secret={quote(SECRET)}"),
        request(authorization=SECRET),
        request(authorization="Bearer"),
        request(authorization=basic(SECRET)),
        request(authorization="Basic %%%"),
        request(authorization="Basic /w=="),
        request(authorization="Basic é"),
        request(query="&".join(f"a{number}=1" for number in range(1_001))),
        request(authorization="Bearer sécret"),
        request(x_secret=SECRET),
        request(body=f"secret={quote(SECRET)}".encode(), content_type=FORM),
    ],
)
def test_anything_else_is_no_proof(sent: HookRequest) -> None:
    assert not sends_secret(sent, SECRET)


@pytest.mark.parametrize(
    ("sent", "body"),
    [
        (request(body=b'{"a": [1]}', content_type=JSON), {"a": [1]}),
        (request(body=b"[1, 2]", content_type=JSON), [1, 2]),
        (request(body=b'"x"', content_type="application/vnd.api+json"), "x"),
        (request(body=b"a=1&b=2&b=3&b=4&c=", content_type=FORM), {"a": "1", "b": ["2", "3", "4"], "c": ""}),
        (request(body="größe".encode(), content_type="text/plain"), "größe"),
        (request(body=b"<a/>"), "<a/>"),
        (request(), {}),
        (request(content_type=JSON), {}),
    ],
)
def test_the_body_becomes_what_its_type_says(sent: HookRequest, body: Any) -> None:
    assert inputs_of(sent)["body"] == body


@pytest.mark.parametrize(
    "sent",
    [
        request(body=b"{", content_type=JSON),
        request(body=b'{"a": NaN}', content_type=JSON),
        request(body=b"\xff\xfe", content_type="application/octet-stream"),
        request(body=b"--x\r\n", content_type="multipart/form-data; boundary=x"),
        request(body=b"&".join(b"a%d=1" % number for number in range(1_001)), content_type=FORM),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(sent: HookRequest) -> None:
    with pytest.raises(InvalidInput):
        inputs_of(sent)


def test_inputs_have_the_request_without_the_secret_and_what_servers_added() -> None:
    sent = request(
        "GET",
        f"q=a+b&secret={quote(SECRET)}&q=c",
        authorization=f"Bearer {SECRET}",
        x_shop="s",
        x_forwarded_for="1.2.3.4",
        x_amzn_trace_id="r",
        x_origin_key="k",
        cookie="c",
        host="h",
        referer=f"https://shop.example/?secret={quote(SECRET)}",
        x_envoy_original_path=f"/?secret={quote(SECRET, safe='')}",
    )
    assert inputs_of(sent) == {"method": "GET", "query": {"q": ["a b", "c"]}, "headers": {"x-shop": "s"}, "body": {}}
