"""HTTP to addresses that users name: never to what lies inside our own walls.

A name is resolved once, every address it has must be public, and the connection is made to one of those very addresses
(OWASP, "Server Side Request Forgery Prevention"): a name that means something else a moment later changes nothing.
Redirects are followed by the same rule, and without the caller's own headers once they leave its host.
"""

import ipaddress
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import urllib3

from email_sender.errors import Conflict, Forbidden, InvalidInput, RateLimited, Unavailable

MAX_BODY_BYTES: Final = 48 * 1024
MAX_REDIRECTS: Final = 3
_PORTS = {"http": 80, "https": 443}
_SAME_METHOD = (307, 308)
_REDIRECTS = (301, 302, 303, *_SAME_METHOD)
_MAX_RETRY_AFTER = 3600
# Those of a connection are ours to write.
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect"})
# A few are enough to read an answer by; the rest may hold anything and is not kept.
_TOLD = ("content-type", "location", "etag", "last-modified", "retry-after", "x-request-id")

type Address = ipaddress.IPv4Address | ipaddress.IPv6Address
type Resolve = Callable[[str, int], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """`body` is JSON where the answer said so and is, else text; at most MAX_BODY_BYTES."""

    status: int
    headers: Mapping[str, str]
    body: Any


def is_public(address: Address) -> bool:
    """Neither private, loopback, link-local (where clouds keep their metadata), reserved, nor an IPv4 in disguise."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is not None:
            return False
        if address in ipaddress.ip_network("64:ff9b::/96") or address in ipaddress.ip_network("64:ff9b:1::/48"):
            return False
    return address.is_global and not address.is_multicast


def resolved(host: str, port: int) -> list[str]:
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class OutboundHttp:
    """`allowed` decides over addresses; `resolve` gives those of a name; `tls` None: the system's authorities."""

    def __init__(
        self,
        allowed: Callable[[Address], bool] = is_public,
        resolve: Resolve = resolved,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._allowed, self._resolve, self._tls = allowed, resolve, tls

    def fetch(self, request: Request, seconds: float) -> Response:
        """The answer, after at most three redirects.

        Raises:
            InvalidInput: the URL or a header cannot be used, or the answer is too large.
            Forbidden: an address on the way is not public.
            RateLimited, Unavailable: the other side says so (429; 5xx or no answer in time).
            Conflict: it refuses (any other 4xx).
        """
        ends = time.monotonic() + seconds
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._once(request, ends - time.monotonic())
            location = answer.headers.get("location")
            if answer.status not in _REDIRECTS or not location:
                return _judged(answer)
            request = _redirected(request, answer.status, urljoin(request.url, location))
        raise Conflict(f"More than {MAX_REDIRECTS} redirects.")

    def _once(self, request: Request, seconds: float) -> Response:
        scheme, host, port, target = _parts(request.url)
        # The connection goes to the address; the name is only what is asked for there, and what its certificate says.
        named = host if port == _PORTS[scheme] else f"{host}:{port}"
        headers = {"user-agent": "email-sender", **_checked(request.headers), "host": named}
        address = self._address(host, port)
        if seconds <= 0:
            raise Unavailable(f"{host} did not answer in time.")
        ends, timeout = time.monotonic() + seconds, urllib3.Timeout(total=seconds)
        pool: urllib3.HTTPConnectionPool
        if scheme == "https":
            pool = urllib3.HTTPSConnectionPool(
                address, port, timeout=timeout, retries=False, server_hostname=host, assert_hostname=host,
                ssl_context=self._tls,
            )  # fmt: skip
        else:
            pool = urllib3.HTTPConnectionPool(address, port, timeout=timeout, retries=False)
        with pool:
            try:
                answer = pool.urlopen(
                    request.method, target, body=request.body or None, headers=headers, redirect=False,
                    preload_content=False,
                )  # fmt: skip
                body = _read(answer, ends)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                raise Unavailable(f"{host} did not answer: {_kind(error)}.") from None
            if len(body) > MAX_BODY_BYTES:
                raise InvalidInput(f"The answer of {host} is larger than {MAX_BODY_BYTES} bytes.")
            if time.monotonic() > ends:
                raise Unavailable(f"{host} did not answer in time.")
            told = {name: answer.headers[name] for name in _TOLD if name in answer.headers}
            return Response(answer.status, told, _content(body, told.get("content-type", "")))

    def _address(self, host: str, port: int) -> str:
        try:
            found = [ipaddress.ip_address(each.partition("%")[0]) for each in self._resolve(host, port)]
        except (OSError, UnicodeError, ValueError):
            raise Unavailable(f"{host} is not known.") from None
        if not found:
            raise Unavailable(f"{host} is not known.")
        # All of them: one that is public beside one that is not is how such a wall is climbed.
        if not all(self._allowed(each) for each in found):
            raise Forbidden(f"{host} is not a public address.")
        return str(found[0])


def _read(answer: urllib3.BaseHTTPResponse, ends: float) -> bytes:
    """Little more than may be, and no longer than `ends`: who sends a byte a second is in time at each of them."""
    body = bytearray()
    while len(body) <= MAX_BODY_BYTES and time.monotonic() <= ends:
        chunk = answer.read1(decode_content=True)
        if not chunk:
            break
        body += chunk
    return bytes(body)


def _parts(url: str) -> tuple[str, str, int, str]:
    """Scheme, host, port, and what is asked for there."""
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").encode("idna").decode() if parts.hostname else ""
    except (ValueError, UnicodeError):
        raise InvalidInput("The URL cannot be read.") from None
    if parts.scheme not in _PORTS or not host:
        raise InvalidInput("A URL begins with https:// or http:// and names a host.")
    if parts.username is not None or parts.password is not None:
        raise InvalidInput("A URL has no name and password in it: use a secret header.")
    if any(ord(each) <= 0x20 or ord(each) == 0x7F for each in url):
        raise InvalidInput("A URL has no spaces and no control characters.")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return parts.scheme, host, port or _PORTS[parts.scheme], target


def _checked(headers: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for name, value in headers.items():
        if not name or not all(each.isascii() and (each.isalnum() or each in "-_") for each in name):
            raise InvalidInput(f"{name[:100]!r} is no name of a header.")
        if name.lower() in _OURS:
            raise InvalidInput(f"The header {name} is written by us.")
        if any(each in "\r\n\0" for each in value):
            raise InvalidInput(f"The header {name} has a line break in it.")
        found[name.lower()] = value
    return found


def _redirected(request: Request, status: int, url: str) -> Request:
    leaves = urlsplit(url).netloc != urlsplit(request.url).netloc
    downgraded = urlsplit(request.url).scheme == "https" and urlsplit(url).scheme == "http"
    if downgraded:
        raise Conflict("A redirect from https to http is not followed.")
    headers = {} if leaves else request.headers
    if status in _SAME_METHOD:
        if leaves and request.body:
            raise Conflict("A redirect to another host is not followed with a body.")
        return replace(request, url=url, headers=headers)
    return Request("GET" if request.method != "HEAD" else "HEAD", url, headers)


def _judged(answer: Response) -> Response:
    if answer.status == 429:
        raise RateLimited("The other side takes no more for now.", _seconds(answer.headers.get("retry-after", "")))
    if answer.status >= 500:
        raise Unavailable(f"The other side answered {answer.status}.")
    if answer.status >= 400:
        raise Conflict(f"The other side refused with {answer.status}.")
    return answer


def _content(body: bytes, content_type: str) -> Any:
    kind, _, options = content_type.partition(";")
    charset = options.partition("charset=")[2].strip(' "') or "utf-8"
    try:
        text = body.decode(charset, "replace")
    except LookupError:
        text = body.decode("utf-8", "replace")
    if kind.strip().lower() != "application/json" and not kind.strip().lower().endswith("+json"):
        return text
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        # It said that it is JSON, and is not.
        return text


def _kind(error: Exception) -> str:
    if isinstance(error, urllib3.exceptions.SSLError):
        return "its certificate is not valid"
    if isinstance(error, urllib3.exceptions.NewConnectionError):  # a timeout too, by its bases
        return "no connection"
    return "too slow" if isinstance(error, urllib3.exceptions.TimeoutError) else "no connection"


def _seconds(text: str) -> int:
    return min(int(text), _MAX_RETRY_AFTER) if text.isascii() and text.isdigit() and int(text) > 0 else 1
