"""Requests to addresses that users name, against real servers on this machine."""

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

from email_sender.adapters.outbound_http import MAX_BODY_BYTES, OutboundHttp, Request, Response, is_public, resolved
from email_sender.errors import Conflict, DomainError, Forbidden, InvalidInput, RateLimited, Unavailable


class Server(ThreadingHTTPServer):
    """Answers what `answers` says for a path: status, headers, body; and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def handle_error(self, *_: Any) -> None:
        """Who asked went away: some tests do."""

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append((self.command, self.path, headers, body))
        if self.path.startswith("/slow"):
            time.sleep(3.0)
        if self.path.startswith("/drip"):
            self._drip()
            return
        status, told, content = self.server.answers.get(self.path.partition("?")[0], (200, {}, b"ok"))
        self.send_response(status)
        for name, value in {"content-length": str(len(content)), **told}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _drip(self) -> None:
        """A byte now and then, for as long as somebody listens."""
        self.send_response(200)
        self.send_header("content-length", "1000")
        self.end_headers()
        for _ in range(60):
            self.wfile.write(b"x")
            self.wfile.flush()
            time.sleep(0.1)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _any  # the names that the library calls

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.shutdown()
    made.server_close()


class Names:
    """A resolver whose answers change: each name has a list of them, and the last stays."""

    def __init__(self, **known: list[list[str]]) -> None:
        self.known = {name.replace("_", "."): answers for name, answers in known.items()}
        self.asked: list[str] = []

    def __call__(self, host: str, _port: int) -> list[str]:
        self.asked.append(host)
        answers = self.known.get(host)
        if answers is None:
            raise socket.gaierror
        return answers.pop(0) if len(answers) > 1 else answers[0]


def outbound(names: Names) -> OutboundHttp:
    """127.0.0.1 plays the public address here; everything else is as it is deployed."""
    return OutboundHttp(lambda address: str(address) == "127.0.0.1" or is_public(address), names)


def get(server: Server, path: str = "/", names: Names | None = None, **more: Any) -> Response:
    known = names or Names(api_example=[["127.0.0.1"]])
    request = Request(more.pop("method", "GET"), f"http://api.example:{server.port}{path}", **more)
    return outbound(known).fetch(request, 5.0)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.5.5", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "192.0.2.1", "198.18.0.1", "240.0.0.1",
        "::1", "::", "fe80::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "::ffff:10.0.0.1", "::ffff:8.8.8.8",
        "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:a9fe:a9fe::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    ],
)  # fmt: skip
def test_what_lies_inside_is_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    with pytest.raises(Forbidden, match="not a public address"):
        OutboundHttp(resolve=lambda _host, _port: [address]).fetch(Request("GET", "https://some.example/"), 1.0)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "93.184.216.34"])
def test_what_lies_outside_is(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/", "http://localhost/", "http://0/", "http://0x7f000001/", "http://2130706433/", "http://127.1/",
        "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://017700000001/",
    ],
)  # fmt: skip
def test_no_way_to_write_this_machine_reaches_it(server: Server, url: str) -> None:
    with pytest.raises((Forbidden, Unavailable, InvalidInput)):
        OutboundHttp().fetch(Request("GET", url.rstrip("/") + f":{server.port}/"), 2.0)
    assert server.asked == []
    assert resolved("127.0.0.1", 80) == ["127.0.0.1"]


def test_one_address_of_many_that_is_inside_is_enough_to_refuse(server: Server) -> None:
    with pytest.raises(Forbidden):
        get(server, names=Names(api_example=[["127.0.0.1", "10.0.0.7"]]))
    assert server.asked == []


def test_the_connection_goes_to_the_address_that_was_looked_at(server: Server) -> None:
    names = Names(api_example=[["127.0.0.1"], ["10.0.0.1"]])
    assert get(server, "/a?b=c", names).body == "ok"
    assert names.asked == ["api.example"]
    (_, path, headers, _) = server.asked[0]
    assert (path, headers["host"]) == ("/a?b=c", f"api.example:{server.port}")


def test_a_redirect_is_looked_at_anew(server: Server) -> None:
    server.answers["/"] = (302, {"location": f"http://inside.example:{server.port}/secret"}, b"")
    with pytest.raises(Forbidden, match=r"inside\.example"):
        get(server, names=Names(api_example=[["127.0.0.1"]], inside_example=[["169.254.169.254"]]))
    # And the same name, which means something else by now.
    server.answers["/"] = (302, {"location": "/again"}, b"")
    with pytest.raises(Forbidden):
        get(server, names=Names(api_example=[["127.0.0.1"], ["192.168.0.1"]]))
    assert [each[1] for each in server.asked] == ["/", "/"]


def test_headers_and_bodies_do_not_follow_to_another_host(server: Server) -> None:
    names = Names(api_example=[["127.0.0.1"]], other_example=[["127.0.0.1"]])
    server.answers["/"] = (303, {"location": f"http://other.example:{server.port}/there"}, b"")
    get(server, names=names, method="POST", headers={"authorization": "Bearer s"}, body=b"x")
    assert [(each[0], each[1], each[2].get("authorization"), each[3]) for each in server.asked] == [
        ("POST", "/", "Bearer s", b"x"), ("GET", "/there", None, b""),
    ]  # fmt: skip
    server.answers["/"] = (307, {"location": f"http://other.example:{server.port}/there"}, b"")
    with pytest.raises(Conflict, match="not followed with a body"):
        get(server, names=names, method="POST", body=b"x")
    server.answers["/"] = (308, {"location": "/here"}, b"")
    get(server, method="PUT", headers={"authorization": "Bearer s"}, body=b"x")
    assert server.asked[-1][0:2] == ("PUT", "/here")
    assert (server.asked[-1][2]["authorization"], server.asked[-1][3]) == ("Bearer s", b"x")


def test_redirects_end(server: Server) -> None:
    server.answers["/"] = (302, {"location": "/"}, b"")
    with pytest.raises(Conflict, match="More than 3 redirects"):
        get(server)
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    ("status", "error"),
    [(429, RateLimited), (500, Unavailable), (503, Unavailable), (400, Conflict), (401, Conflict), (404, Conflict)],
)
def test_what_the_other_side_says_has_a_name(server: Server, status: int, error: type[DomainError]) -> None:
    server.answers["/"] = (status, {"retry-after": "7"}, b"secret words")
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
def test_bodies_are_json_where_they_are(server: Server, kind: str, content: bytes, body: object) -> None:
    server.answers["/"] = (200, {"content-type": kind}, content)
    assert get(server).body == body


def test_of_headers_only_a_few_are_told(server: Server) -> None:
    server.answers["/"] = (201, {"location": "/x", "set-cookie": "a=b", "x-request-id": "r"}, b"")
    found = get(server)
    assert (found.status, found.headers) == (201, {"location": "/x", "x-request-id": "r"})


def test_an_answer_is_bounded(server: Server) -> None:
    server.answers["/"] = (200, {}, b"x" * MAX_BODY_BYTES)
    assert len(get(server).body) == MAX_BODY_BYTES
    server.answers["/"] = (200, {}, b"x" * (MAX_BODY_BYTES + 1))
    with pytest.raises(InvalidInput, match="larger than"):
        get(server)


def test_who_is_slow_or_not_there_is_unavailable(server: Server) -> None:
    request = Request("GET", f"http://api.example:{server.port}/slow")
    before = time.monotonic()
    with pytest.raises(Unavailable, match="too slow"):
        outbound(Names(api_example=[["127.0.0.1"]])).fetch(request, 0.2)
    assert time.monotonic() - before < 2.5
    before = time.monotonic()
    with pytest.raises(Unavailable, match="in time"):
        outbound(Names(api_example=[["127.0.0.1"]])).fetch(
            replace(request, url=request.url.replace("slow", "drip")), 0.5
        )
    assert time.monotonic() - before < 4
    with pytest.raises(Unavailable, match="is not known"):
        outbound(Names()).fetch(request, 1.0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://api.example:{free.getsockname()[1]}/"
    with pytest.raises(Unavailable, match="no connection"):
        outbound(Names(api_example=[["127.0.0.1"]])).fetch(Request("GET", url), 1.0)


def certified(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate for that name, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject, today = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]), datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject).issuer_name(subject).public_key(key.public_key()).serial_number(1)
        .not_valid_before(today - timedelta(days=1)).not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = made.public_bytes(serialization.Encoding.PEM)
    kind = serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption())
    file = folder / "server.pem"
    file.write_bytes(secret + pem)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(file)
    return serving, ssl.create_default_context(cadata=pem.decode())


@pytest.mark.parametrize(("name", "good"), [("api.example", True), ("another.example", False)])
def test_over_tls_the_certificate_is_the_names_and_not_the_addresses(
    server: Server, tmp_path: Path, name: str, good: bool
) -> None:
    serving, trusting = certified(tmp_path, name)
    server.socket = serving.wrap_socket(server.socket, server_side=True)
    http = OutboundHttp(lambda _: True, Names(api_example=[["127.0.0.1"]]), trusting)
    request = Request("GET", f"https://api.example:{server.port}/")
    if good:
        assert http.fetch(request, 5.0).body == "ok"
    else:
        with pytest.raises(Unavailable, match="its certificate is not valid"):
            http.fetch(request, 5.0)


def test_a_certificate_that_is_not_there_is_not_ignored(server: Server) -> None:
    request = Request("GET", f"https://api.example:{server.port}/")
    with pytest.raises(Unavailable):
        outbound(Names(api_example=[["127.0.0.1"]])).fetch(request, 2.0)


@pytest.mark.parametrize(
    "url",
    [
        "", "api.example", "ftp://api.example/", "file:///etc/passwd", "https://", "https://user:pass@api.example/",
        "http://api.example:99999/", "http://api.example:x/", "http://[::1/", "http://api.example/a b",
        "http://api.example/\r\nx: y", "https://" + "a" * 70 + ".example/", "gopher://api.example/",
    ],
)  # fmt: skip
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises((InvalidInput, Unavailable)):
        outbound(Names(api_example=[["127.0.0.1"]])).fetch(Request("GET", url), 1.0)


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
def test_headers_that_are_ours_or_none_are_refused(server: Server, headers: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        get(server, headers=headers)
    assert server.asked == []


def test_what_is_sent_arrives_as_it_is(server: Server) -> None:
    body = json.dumps({"a": "ä"}).encode()
    get(server, "/p", method="PATCH", headers={"X-Key": "v", "content-type": "application/json"}, body=body)
    ((method, path, headers, content),) = server.asked
    assert (method, path, content) == ("PATCH", "/p", body)
    assert (headers["x-key"], headers["content-type"], headers["user-agent"]) == (
        "v", "application/json", "email-sender",
    )  # fmt: skip
