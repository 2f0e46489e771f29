"""Tests for the OpenAI-compatible embedder, against a local HTTP server."""

import json
import struct
from base64 import b64encode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from email_sender.adapters.models.openai_embeddings import OpenAIEmbedder
from email_sender.errors import DomainError, InvalidInput, RateLimited, Unavailable

SIZE = 3
SECRET_TEXT = "a text of a tenant"
type EndpointResponse = tuple[int, Any, dict[str, str]]


class FakeEndpoint:
    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.respond: Callable[[Any], EndpointResponse] = lambda body: (200, embedding_response(body), {})
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                endpoint.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                status, response_body, headers = endpoint.respond(body)
                content = response_body if isinstance(response_body, bytes) else json.dumps(response_body).encode()
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Write no log."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_port}/v1"


def embedding_response(body: Any, *, encoded: bool = True) -> Any:
    rows = []
    for index, text in enumerate(body["input"]):
        vector = [float(len(text)), 0.5, -1.0]
        value = b64encode(struct.pack("<3f", *vector)).decode() if encoded else vector
        rows.append({"object": "embedding", "index": index, "embedding": value})
    # In reverse order: the client must sort by the index.
    return {"object": "list", "data": rows[::-1]}


@pytest.fixture
def endpoint() -> Iterator[FakeEndpoint]:
    fake_endpoint = FakeEndpoint()
    thread = Thread(target=fake_endpoint.server.serve_forever)
    thread.start()
    yield fake_endpoint
    fake_endpoint.server.shutdown()
    thread.join()
    fake_endpoint.server.server_close()


def embedder(endpoint: FakeEndpoint, key: str = "sk-1") -> OpenAIEmbedder:
    return OpenAIEmbedder(endpoint.base, "small", SIZE, lambda: key)


@pytest.mark.parametrize("encoded", [True, False])
def test_vectors_are_returned_in_the_order_of_the_texts(endpoint: FakeEndpoint, encoded: bool) -> None:
    endpoint.respond = lambda body: (200, embedding_response(body, encoded=encoded), {})
    vectors = embedder(endpoint).embed(["a", "bb", ""])
    assert [list(vector) for vector in vectors] == [[1.0, 0.5, -1.0], [2.0, 0.5, -1.0], [1.0, 0.5, -1.0]]
    path, headers, body = endpoint.requests[0]
    assert path == "/v1/embeddings"
    assert headers["authorization"] == "Bearer sk-1"
    assert body == {"model": "small", "input": ["a", "bb", " "], "dimensions": SIZE, "encoding_format": "base64"}


def test_many_texts_are_sent_in_several_calls(endpoint: FakeEndpoint) -> None:
    assert len(embedder(endpoint).embed(["x"] * 600)) == 600
    assert [len(body["input"]) for _, _, body in endpoint.requests] == [256, 256, 88]


def test_no_texts_make_no_call(endpoint: FakeEndpoint) -> None:
    assert embedder(endpoint).embed([]) == []
    assert endpoint.requests == []


def test_without_a_key_no_authorization_is_sent(endpoint: FakeEndpoint) -> None:
    embedder(endpoint, key="").embed(["a"])
    assert "authorization" not in endpoint.requests[0][1]


def test_a_server_error_is_retried_once(endpoint: FakeEndpoint) -> None:
    responses: Iterator[EndpointResponse | None] = iter([(503, {}, {}), None])

    def next_response(body: Any) -> EndpointResponse:
        return next(responses) or (200, embedding_response(body), {})

    endpoint.respond = next_response
    assert len(embedder(endpoint).embed(["a"])) == 1
    assert len(endpoint.requests) == 2


@pytest.mark.parametrize(
    ("response", "kind", "request_count"),
    [
        ((500, {"error": SECRET_TEXT}, {}), Unavailable, 2),
        ((401, {"error": "key sk-1"}, {}), Unavailable, 1),
        ((400, {"error": SECRET_TEXT}, {}), Unavailable, 1),
        ((200, b"<html>", {}), Unavailable, 1),
        ((200, {}, {}), Unavailable, 1),
        ((200, {"data": []}, {}), Unavailable, 1),
        ((200, {"data": [{"index": 0, "embedding": [1.0, 2.0]}]}, {}), Unavailable, 1),
        ((200, {"data": [{"index": 0, "embedding": "!"}]}, {}), Unavailable, 1),
        ((200, {"data": [{"index": 0, "embedding": None}]}, {}), Unavailable, 1),
        ((200, b'{"data": [{"index": 0, "embedding": [NaN, 1, 1]}]}', {}), Unavailable, 1),
        ((302, {}, {"location": "http://169.254.169.254/"}), Unavailable, 1),
    ],
)
def test_an_error_contains_no_texts_or_keys(
    endpoint: FakeEndpoint, response: EndpointResponse, kind: type[DomainError], request_count: int
) -> None:
    endpoint.respond = lambda _body: response
    with pytest.raises(kind) as caught:
        embedder(endpoint).embed([SECRET_TEXT])
    assert len(endpoint.requests) == request_count
    assert SECRET_TEXT not in str(caught.value)
    assert "sk-1" not in str(caught.value)


@pytest.mark.parametrize(("retry_after", "seconds"), [("7", 7), ("99999", 300), ("soon", 1), ("0", 1), ("", 1)])
def test_a_rate_limit_says_when_to_retry(endpoint: FakeEndpoint, retry_after: str, seconds: int) -> None:
    endpoint.respond = lambda _body: (429, {}, {"retry-after": retry_after})
    with pytest.raises(RateLimited) as caught:
        embedder(endpoint).embed(["a"])
    assert caught.value.retry_after == seconds
    assert len(endpoint.requests) == 1


def test_an_unreachable_endpoint_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        OpenAIEmbedder("http://127.0.0.1:9", "m", SIZE, lambda: "").embed(["a"])


@pytest.mark.parametrize("base", ["http://models.example/v1", "ftp://x/v1", "models.example", "", "https://"])
def test_an_endpoint_without_https_is_rejected(base: str) -> None:
    with pytest.raises(InvalidInput):
        OpenAIEmbedder(base, "m", SIZE, lambda: "")
