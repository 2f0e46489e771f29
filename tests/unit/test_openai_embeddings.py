"""The OpenAI-compatible embedder, against a server on this machine."""

import json
import struct
from base64 import b64encode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from email_sender.adapters.openai_embeddings import OpenAIEmbedder
from email_sender.errors import DomainError, InvalidInput, RateLimited, Unavailable

SIZE = 3
SECRET_TEXT = "a text of a tenant"
type Answer = tuple[int, Any, dict[str, str]]


class Endpoint:
    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.answer: Callable[[Any], Answer] = lambda body: (200, good(body), {})
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                endpoint.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                status, answer, headers = endpoint.answer(body)
                content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_port}/v1"


def good(body: Any, *, encoded: bool = True) -> Any:
    rows = []
    for index, text in enumerate(body["input"]):
        vector = [float(len(text)), 0.5, -1.0]
        value = b64encode(struct.pack("<3f", *vector)).decode() if encoded else vector
        rows.append({"object": "embedding", "index": index, "embedding": value})
    # In another order than asked: the index says which is which.
    return {"object": "list", "data": rows[::-1]}


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    thread = Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def embedder(endpoint: Endpoint, key: str = "sk-1") -> OpenAIEmbedder:
    return OpenAIEmbedder(endpoint.base, "small", SIZE, lambda: key)


@pytest.mark.parametrize("encoded", [True, False])
def test_vectors_come_in_the_order_of_the_texts(endpoint: Endpoint, encoded: bool) -> None:
    endpoint.answer = lambda body: (200, good(body, encoded=encoded), {})
    vectors = embedder(endpoint).embed(["a", "bb", ""])
    assert [list(each) for each in vectors] == [[1.0, 0.5, -1.0], [2.0, 0.5, -1.0], [1.0, 0.5, -1.0]]
    path, headers, body = endpoint.asked[0]
    assert path == "/v1/embeddings"
    assert headers["authorization"] == "Bearer sk-1"
    assert body == {"model": "small", "input": ["a", "bb", " "], "dimensions": SIZE, "encoding_format": "base64"}


def test_many_texts_go_in_several_calls(endpoint: Endpoint) -> None:
    assert len(embedder(endpoint).embed(["x"] * 600)) == 600
    assert [len(body["input"]) for _, _, body in endpoint.asked] == [256, 256, 88]


def test_no_texts_ask_nobody(endpoint: Endpoint) -> None:
    assert embedder(endpoint).embed([]) == []
    assert endpoint.asked == []


def test_without_a_key_none_is_sent(endpoint: Endpoint) -> None:
    embedder(endpoint, key="").embed(["a"])
    assert "authorization" not in endpoint.asked[0][1]


def test_a_failure_at_the_other_end_is_tried_once_more(endpoint: Endpoint) -> None:
    answers: Iterator[Answer | None] = iter([(503, {}, {}), None])

    def answer(body: Any) -> Answer:
        return next(answers) or (200, good(body), {})

    endpoint.answer = answer
    assert len(embedder(endpoint).embed(["a"])) == 1
    assert len(endpoint.asked) == 2


@pytest.mark.parametrize(
    ("answer", "kind", "asked"),
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
def test_what_goes_wrong_is_told_without_texts_or_keys(
    endpoint: Endpoint, answer: Answer, kind: type[DomainError], asked: int
) -> None:
    endpoint.answer = lambda _body: answer
    with pytest.raises(kind) as caught:
        embedder(endpoint).embed([SECRET_TEXT])
    assert len(endpoint.asked) == asked
    assert SECRET_TEXT not in str(caught.value)
    assert "sk-1" not in str(caught.value)


@pytest.mark.parametrize(("said", "seconds"), [("7", 7), ("99999", 300), ("soon", 1), ("0", 1), ("", 1)])
def test_too_many_calls_say_when_to_come_back(endpoint: Endpoint, said: str, seconds: int) -> None:
    endpoint.answer = lambda _body: (429, {}, {"retry-after": said})
    with pytest.raises(RateLimited) as caught:
        embedder(endpoint).embed(["a"])
    assert caught.value.retry_after == seconds
    assert len(endpoint.asked) == 1


def test_nobody_there_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        OpenAIEmbedder("http://127.0.0.1:9", "m", SIZE, lambda: "").embed(["a"])


@pytest.mark.parametrize("base", ["http://models.example/v1", "ftp://x/v1", "models.example", "", "https://"])
def test_an_address_that_is_no_https_is_refused(base: str) -> None:
    with pytest.raises(InvalidInput):
        OpenAIEmbedder(base, "m", SIZE, lambda: "")
