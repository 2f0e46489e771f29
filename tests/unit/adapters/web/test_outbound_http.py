"""Tests for requests to addresses that users supply, against local servers."""

import ipaddress
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from email_sender.adapters.web.outbound_http import (
    MAX_BODY_BYTES,
    OutboundHttp,
    Request,
    Response,
    is_public,
    resolve_host,
)
from email_sender.errors import Conflict, DomainError, Forbidden, InvalidInput, RateLimited, Unavailable


class Server(ThreadingHTTPServer):
    """Send the response (status, headers, body) that `responses` has for a path, and record the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.responses: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def handle_error(self, *_: Any) -> None:
        """Ignore clients that disconnect early; some tests do."""

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append((self.command, self.path, headers, body))
        if self.path.startswith("/slow"):
            time.sleep(3.0)
        if self.path.startswith("/drip"):
            self._drip()
            return
        status, response_headers, content = self.server.responses.get(self.path.partition("?")[0], (200, {}, b"ok"))
        self.send_response(status)
        for name, value in {"content-length": str(len(content)), **response_headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _drip(self) -> None:
        """Send one byte every 0.1 s, for up to six seconds."""
        self.send_response(200)
        self.send_header("content-length", "1000")
        self.end_headers()
        for _ in range(60):
            self.wfile.write(b"x")
            self.wfile.flush()
            time.sleep(0.1)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _any  # the names that http.server calls

    def log_message(self, *_: Any) -> None:
        """Write no log."""


@pytest.fixture
def server() -> Iterator[Server]:
    http_server = Server()
    yield http_server
    http_server.shutdown()
    http_server.server_close()


class FakeResolver:
    """A resolver with a list of results for each name; the last result repeats."""

    def __init__(self, **results_by_name: list[list[str]]) -> None:
        self.results_by_name = {name.replace("_", "."): results for name, results in results_by_name.items()}
        self.lookups: list[str] = []

    def __call__(self, host: str, _port: int) -> list[str]:
        self.lookups.append(host)
        results = self.results_by_name.get(host)
        if results is None:
            raise socket.gaierror
        return results.pop(0) if len(results) > 1 else results[0]


def outbound(resolver: FakeResolver) -> OutboundHttp:
    """Treat 127.0.0.1 as a public address; everything else works as deployed."""
    return OutboundHttp(lambda address: str(address) == "127.0.0.1" or is_public(address), resolver)


def get(server: Server, path: str = "/", resolver: FakeResolver | None = None, **more: Any) -> Response:
    used_resolver = resolver or FakeResolver(api_example=[["127.0.0.1"]])
    request = Request(more.pop("method", "GET"), f"http://api.example:{server.port}{path}", **more)
    return outbound(used_resolver).fetch(request, 5.0)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.5.5", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "192.0.2.1", "198.18.0.1", "240.0.0.1",
        "::1", "::", "fe80::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "::ffff:10.0.0.1", "::ffff:8.8.8.8",
        "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:a9fe:a9fe::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    ],
)  # fmt: skip
def test_a_private_address_is_not_public_and_is_refused(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    with pytest.raises(Forbidden, match="not a public address"):
        OutboundHttp(resolve=lambda _host, _port: [address]).fetch(Request("GET", "https://some.example/"), 1.0)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "93.184.216.34"])
def test_a_public_address_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/", "http://localhost/", "http://0/", "http://0x7f000001/", "http://2130706433/", "http://127.1/",
        "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://017700000001/",
    ],
)  # fmt: skip
def test_no_spelling_of_the_local_host_reaches_it(server: Server, url: str) -> None:
    with pytest.raises((Forbidden, Unavailable, InvalidInput)):
        OutboundHttp().fetch(Request("GET", url.rstrip("/") + f":{server.port}/"), 2.0)
    assert server.requests == []
    assert resolve_host("127.0.0.1", 80) == ["127.0.0.1"]


def test_a_name_with_one_private_address_among_several_is_refused(server: Server) -> None:
    with pytest.raises(Forbidden):
        get(server, resolver=FakeResolver(api_example=[["127.0.0.1", "10.0.0.7"]]))
    assert server.requests == []


def test_the_connection_uses_the_address_that_was_checked(server: Server) -> None:
    resolver = FakeResolver(api_example=[["127.0.0.1"], ["10.0.0.1"]])
    assert get(server, "/a?b=c", resolver).body == "ok"
    assert resolver.lookups == ["api.example"]
    (_, path, headers, _) = server.requests[0]
    assert (path, headers["host"]) == ("/a?b=c", f"api.example:{server.port}")


def test_a_redirect_is_checked_again(server: Server) -> None:
    server.responses["/"] = (302, {"location": f"http://inside.example:{server.port}/secret"}, b"")
    with pytest.raises(Forbidden, match=r"inside\.example"):
        get(server, resolver=FakeResolver(api_example=[["127.0.0.1"]], inside_example=[["169.254.169.254"]]))
    # The same name can resolve to another address the second time.
    server.responses["/"] = (302, {"location": "/again"}, b"")
    with pytest.raises(Forbidden):
        get(server, resolver=FakeResolver(api_example=[["127.0.0.1"], ["192.168.0.1"]]))
    assert [request[1] for request in server.requests] == ["/", "/"]


def test_headers_and_bodies_are_not_sent_to_another_host(server: Server) -> None:
    resolver = FakeResolver(api_example=[["127.0.0.1"]], other_example=[["127.0.0.1"]])
    server.responses["/"] = (303, {"location": f"http://other.example:{server.port}/there"}, b"")
    get(server, resolver=resolver, method="POST", headers={"authorization": "Bearer s"}, body=b"x")
    assert [(request[0], request[1], request[2].get("authorization"), request[3]) for request in server.requests] == [
        ("POST", "/", "Bearer s", b"x"), ("GET", "/there", None, b""),
    ]  # fmt: skip
    server.responses["/"] = (307, {"location": f"http://other.example:{server.port}/there"}, b"")
    with pytest.raises(Conflict, match="a request with a body to another host"):
        get(server, resolver=resolver, method="POST", body=b"x")
    server.responses["/"] = (308, {"location": "/here"}, b"")
    get(server, method="PUT", headers={"authorization": "Bearer s"}, body=b"x")
    assert server.requests[-1][0:2] == ("PUT", "/here")
    assert (server.requests[-1][2]["authorization"], server.requests[-1][3]) == ("Bearer s", b"x")


def test_the_number_of_redirects_is_limited(server: Server) -> None:
    server.responses["/"] = (302, {"location": "/"}, b"")
    with pytest.raises(Conflict, match="redirected more than 3 times"):
        get(server)
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("status", "error"),
    [(429, RateLimited), (500, Unavailable), (503, Unavailable), (400, Conflict), (401, Conflict), (404, Conflict)],
)
def test_an_error_status_becomes_a_domain_error(server: Server, status: int, error: type[DomainError]) -> None:
    server.responses["/"] = (status, {"retry-after": "7"}, b"secret words")
    with pytest.raises(error) as raised:
        get(server)
    assert "secret" not in raised.value.detail
    if isinstance(raised.value, RateLimited):
        assert raised.value.retry_after == 7


@pytest.mark.parametrize(
    ("kind", "content", "body"),
    [
        ("application/json", b'{"a": [1, null]}', {"a": [1, None]}),
        ("application/problem+json; charset=utf-8", b"3", 3),
        ("application/json", b"", None),
        ("application/json", b"{not json", "{not json"),
        ("text/plain; charset=latin-1", b"\xe4", "ä"),
        ("text/plain; charset=nothing", b"\xc3\xa4", "ä"),
        ("text/plain", b"\xff", "\ufffd"),
        ("application/json", b"[" * 30_000, "[" * 30_000),
    ],
)
def test_a_body_is_decoded_by_its_content_type(server: Server, kind: str, content: bytes, body: object) -> None:
    server.responses["/"] = (200, {"content-type": kind}, content)
    assert get(server).body == body


def test_only_a_few_response_headers_are_returned(server: Server) -> None:
    server.responses["/"] = (201, {"location": "/x", "set-cookie": "a=b", "x-request-id": "r"}, b"")
    response = get(server)
    assert (response.status, response.headers) == (201, {"location": "/x", "x-request-id": "r"})


def test_the_response_size_is_limited(server: Server) -> None:
    server.responses["/"] = (200, {}, b"x" * MAX_BODY_BYTES)
    assert len(get(server).body) == MAX_BODY_BYTES
    server.responses["/"] = (200, {}, b"x" * (MAX_BODY_BYTES + 1))
    with pytest.raises(InvalidInput, match="larger than"):
        get(server)


def test_a_slow_or_unreachable_server_is_unavailable(server: Server) -> None:
    request = Request("GET", f"http://api.example:{server.port}/slow")
    before = time.monotonic()
    with pytest.raises(Unavailable, match="too slow"):
        outbound(FakeResolver(api_example=[["127.0.0.1"]])).fetch(request, 0.2)
    assert time.monotonic() - before < 8
    before = time.monotonic()
    with pytest.raises(Unavailable, match="in time"):
        outbound(FakeResolver(api_example=[["127.0.0.1"]])).fetch(
            replace(request, url=request.url.replace("slow", "drip")), 0.5
        )
    assert time.monotonic() - before < 8
    with pytest.raises(Unavailable, match="could not be resolved"):
        outbound(FakeResolver()).fetch(request, 1.0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://api.example:{free.getsockname()[1]}/"
    with pytest.raises(Unavailable, match="no connection"):
        outbound(FakeResolver(api_example=[["127.0.0.1"]])).fetch(Request("GET", url), 1.0)


def tls_contexts(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a server context with a certificate for `name`, and a client context that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject, today = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]), datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject).issuer_name(subject).public_key(key.public_key()).serial_number(1)
        .not_valid_before(today - timedelta(days=1)).not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    key_format = serialization.PrivateFormat.PKCS8
    private_key = key.private_bytes(serialization.Encoding.PEM, key_format, serialization.NoEncryption())
    file = folder / "server.pem"
    file.write_bytes(private_key + pem)
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(file)
    return server_context, ssl.create_default_context(cadata=pem.decode())


@pytest.mark.parametrize(("name", "name_matches"), [("api.example", True), ("another.example", False)])
def test_the_certificate_must_match_the_host_name_and_not_the_address(
    server: Server, tmp_path: Path, name: str, name_matches: bool
) -> None:
    server_context, client_context = tls_contexts(tmp_path, name)
    server.socket = server_context.wrap_socket(server.socket, server_side=True)
    http = OutboundHttp(lambda _: True, FakeResolver(api_example=[["127.0.0.1"]]), client_context)
    request = Request("GET", f"https://api.example:{server.port}/")
    if name_matches:
        assert http.fetch(request, 5.0).body == "ok"
    else:
        with pytest.raises(Unavailable, match="its certificate is not valid"):
            http.fetch(request, 5.0)


def test_https_to_a_server_without_tls_is_unavailable(server: Server) -> None:
    request = Request("GET", f"https://api.example:{server.port}/")
    with pytest.raises(Unavailable):
        outbound(FakeResolver(api_example=[["127.0.0.1"]])).fetch(request, 2.0)


@pytest.mark.parametrize(
    "url",
    [
        "", "api.example", "ftp://api.example/", "file:///etc/passwd", "https://", "https://user:pass@api.example/",
        "http://api.example:99999/", "http://api.example:x/", "http://[::1/", "http://api.example/a b",
        "http://api.example/\r\nx: y", "https://" + "a" * 70 + ".example/", "gopher://api.example/",
    ],
)  # fmt: skip
def test_an_invalid_url_is_refused(url: str) -> None:
    with pytest.raises((InvalidInput, Unavailable)):
        outbound(FakeResolver(api_example=[["127.0.0.1"]])).fetch(Request("GET", url), 1.0)


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "inside"},
        {"Content-Length": "5"},
        {"x": "a\r\nb: c"},
        {"a b": "c"},
        {"": "c"},
        {"ä": "c"},
        {"x": "a\0"},
    ],
)
def test_reserved_or_malformed_headers_are_refused(server: Server, headers: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        get(server, headers=headers)
    assert server.requests == []


def test_a_request_is_sent_unchanged(server: Server) -> None:
    body = json.dumps({"a": "ä"}).encode()
    get(server, "/p", method="PATCH", headers={"X-Key": "v", "content-type": "application/json"}, body=body)
    ((method, path, headers, content),) = server.requests
    assert (method, path, content) == ("PATCH", "/p", body)
    assert (headers["x-key"], headers["content-type"], headers["user-agent"]) == (
        "v", "application/json", "email-sender",
    )  # fmt: skip


@pytest.mark.parametrize("status", [200, 301, 302, 307, 404, 410, 429, 500])
def test_an_exchange_returns_every_answer_and_follows_no_redirect(server: Server, status: int) -> None:
    server.responses["/"] = (status, {"location": "/elsewhere"}, b"")
    request = Request("POST", f"http://api.example:{server.port}/", body=b"{}")
    response = outbound(FakeResolver(api_example=[["127.0.0.1"]])).exchange(request, 5)
    assert (response.status, len(server.requests)) == (status, 1)
    with pytest.raises(Forbidden):
        outbound(FakeResolver(api_example=[["10.0.0.1"]])).exchange(request, 5)
