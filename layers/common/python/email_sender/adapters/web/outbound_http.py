"""Send HTTP requests to addresses that users choose, but never to internal addresses.

A host name is resolved once, all of its addresses must be public, and the connection goes to one of those addresses
(OWASP, "Server Side Request Forgery Prevention"). A name that resolves differently a moment later has no effect.
Redirects follow the same rule. A redirect to another host does not get the caller's headers.
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
_METHOD_PRESERVING_REDIRECTS = (307, 308)
_REDIRECTS = (301, 302, 303, *_METHOD_PRESERVING_REDIRECTS)
_MAX_RETRY_AFTER_SECONDS = 3600
# Headers of the connection, which callers cannot set.
_RESERVED_HEADERS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect"}
)
# The response headers that callers get. The others can contain anything and are dropped.
_RETURNED_HEADERS = ("content-type", "location", "etag", "last-modified", "retry-after", "x-request-id")

type Address = ipaddress.IPv4Address | ipaddress.IPv6Address
type Resolver = Callable[[str, int], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """`body` is parsed JSON if the content type says so and parsing succeeds, else text. `content` is what was sent.

    `headers` are those that callers need (_RETURNED_HEADERS), and `all_headers` whatever came, in lower case.
    """

    status: int
    headers: Mapping[str, str]
    body: Any
    content: bytes = b""
    all_headers: Mapping[str, str] = field(default_factory=dict)


def is_public(address: Address) -> bool:
    """Return whether the address is public.

    Private, loopback, link-local (cloud metadata) and reserved addresses are not public, nor are IPv6 addresses that
    embed an IPv4 address.
    """
    if isinstance(address, ipaddress.IPv6Address):
        embedded = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if embedded is not None:
            return False
        if address in ipaddress.ip_network("64:ff9b::/96") or address in ipaddress.ip_network("64:ff9b:1::/48"):
            return False
    return address.is_global and not address.is_multicast


def resolve_host(host: str, port: int) -> list[str]:
    return [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


@dataclass(frozen=True, slots=True)
class _Url:
    """`target` is the path with the query, as it is sent in the request line."""

    scheme: str
    host: str
    port: int
    target: str


class OutboundHttp:
    """An HTTP client for public addresses.

    `allowed` decides which addresses may be reached. `resolve` returns the addresses of a host name. `tls` None uses
    the system's certificate authorities.
    """

    def __init__(
        self,
        allowed: Callable[[Address], bool] = is_public,
        resolve: Resolver = resolve_host,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._allowed, self._resolve, self._tls = allowed, resolve, tls

    def fetch(self, request: Request, timeout_seconds: float) -> Response:
        """Send the request, follow at most three redirects and return the response.

        Raises:
            InvalidInput: the URL or a header is invalid, or the response is too large.
            Forbidden: an address on the way is not public.
            RateLimited: the server responded with 429.
            Unavailable: the server responded with 5xx, or did not respond in time.
            Conflict: the server responded with any other 4xx, or a redirect cannot be followed.
        """
        return _raise_for_status(self.exchange(request, timeout_seconds, MAX_REDIRECTS))

    def exchange(
        self, request: Request, timeout_seconds: float, redirects: int = 0, max_bytes: int = MAX_BODY_BYTES
    ) -> Response:
        """Send the request, follow at most so many redirects and return the response, whatever its status.

        Raises:
            InvalidInput: the URL or a header is invalid, or the response is too large.
            Forbidden: an address on the way is not public.
            Unavailable: the server did not respond in time.
            Conflict: there were more redirects, or one cannot be followed.
        """
        deadline = time.monotonic() + timeout_seconds
        for _ in range(redirects + 1):
            response = self._send(request, deadline - time.monotonic(), max_bytes)
            location = response.headers.get("location")
            if response.status not in _REDIRECTS or not location or not redirects:
                return response
            request = _redirect_request(request, response.status, urljoin(request.url, location))
        raise Conflict(f"The request was redirected more than {redirects} times.")

    def _send(self, request: Request, timeout_seconds: float, max_bytes: int) -> Response:
        url = _split_url(request.url)
        # The connection goes to the address. The name is used for the Host header and to verify the certificate.
        host_header = url.host if url.port == _PORTS[url.scheme] else f"{url.host}:{url.port}"
        headers = {"user-agent": "email-sender", **_check_headers(request.headers), "host": host_header}
        address = self._public_address(url.host, url.port)
        if timeout_seconds <= 0:
            raise Unavailable(f"{url.host} did not respond in time.")
        deadline, timeout = time.monotonic() + timeout_seconds, urllib3.Timeout(total=timeout_seconds)
        pool: urllib3.HTTPConnectionPool
        if url.scheme == "https":
            pool = urllib3.HTTPSConnectionPool(
                address, url.port, timeout=timeout, retries=False, server_hostname=url.host, assert_hostname=url.host,
                ssl_context=self._tls,
            )  # fmt: skip
        else:
            pool = urllib3.HTTPConnectionPool(address, url.port, timeout=timeout, retries=False)
        with pool:
            try:
                response = pool.urlopen(
                    request.method, url.target, body=request.body or None, headers=headers, redirect=False,
                    preload_content=False,
                )  # fmt: skip
                body = _read(response, deadline, max_bytes)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                raise Unavailable(f"{url.host} did not respond: {_describe_failure(error)}.") from None
            if len(body) > max_bytes:
                raise InvalidInput(f"The response of {url.host} is larger than {max_bytes} bytes.")
            if time.monotonic() > deadline:
                raise Unavailable(f"{url.host} did not respond in time.")
            response_headers = {name: response.headers[name] for name in _RETURNED_HEADERS if name in response.headers}
            parsed_body = _parse_body(body, response_headers.get("content-type", ""))
            all_headers = {name.lower(): value for name, value in response.headers.items()}
            return Response(response.status, response_headers, parsed_body, body, all_headers)

    def _public_address(self, host: str, port: int) -> str:
        try:
            addresses = [ipaddress.ip_address(text.partition("%")[0]) for text in self._resolve(host, port)]
        except (OSError, UnicodeError, ValueError):
            raise Unavailable(f"The host {host} could not be resolved.") from None
        if not addresses:
            raise Unavailable(f"The host {host} could not be resolved.")
        # All addresses must be public: an attacker could publish a private address beside a public one.
        if not all(self._allowed(address) for address in addresses):
            raise Forbidden(f"{host} is not a public address.")
        return str(addresses[0])


def _read(response: urllib3.BaseHTTPResponse, deadline: float, max_bytes: int) -> bytes:
    """Read until the body exceeds the limit or `deadline` passes: a slow server can stay below each read timeout."""
    body = bytearray()
    while len(body) <= max_bytes and time.monotonic() <= deadline:
        chunk = response.read1(decode_content=True)
        if not chunk:
            break
        body += chunk
    return bytes(body)


def _split_url(url: str) -> _Url:
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").encode("idna").decode() if parts.hostname else ""
    except (ValueError, UnicodeError):
        raise InvalidInput("The URL is invalid.") from None
    if parts.scheme not in _PORTS or not host:
        raise InvalidInput("The URL must begin with https:// or http:// and name a host.")
    if parts.username is not None or parts.password is not None:
        raise InvalidInput("The URL must not contain a user name or a password. Use a secret header.")
    if any(ord(character) <= 0x20 or ord(character) == 0x7F for character in url):
        raise InvalidInput("The URL must not contain spaces or control characters.")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _Url(parts.scheme, host, port or _PORTS[parts.scheme], target)


def _check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    checked_headers = {}
    for name, value in headers.items():
        if not name or not all(
            character.isascii() and (character.isalnum() or character in "-_") for character in name
        ):
            raise InvalidInput(f"{name[:100]!r} is not a valid header name.")
        if name.lower() in _RESERVED_HEADERS:
            raise InvalidInput(f"The header {name} is set by the platform and cannot be changed.")
        if any(character in "\r\n\0" for character in value):
            raise InvalidInput(f"The value of the header {name} contains a line break.")
        checked_headers[name.lower()] = value
    return checked_headers


def _redirect_request(request: Request, status: int, url: str) -> Request:
    changes_host = urlsplit(url).netloc != urlsplit(request.url).netloc
    downgraded = urlsplit(request.url).scheme == "https" and urlsplit(url).scheme == "http"
    if downgraded:
        raise Conflict("The server redirected from https to http, which is not allowed.")
    headers = {} if changes_host else request.headers
    if status in _METHOD_PRESERVING_REDIRECTS:
        if changes_host and request.body:
            raise Conflict("The server redirected a request with a body to another host, which is not allowed.")
        return replace(request, url=url, headers=headers)
    return Request("GET" if request.method != "HEAD" else "HEAD", url, headers)


def _raise_for_status(response: Response) -> Response:
    if response.status == 429:
        raise RateLimited(
            "The server responded with 429.", _retry_after_seconds(response.headers.get("retry-after", ""))
        )
    if response.status >= 500:
        raise Unavailable(f"The server responded with {response.status}.")
    if response.status >= 400:
        raise Conflict(f"The server rejected the request with {response.status}.")
    return response


def text_of(body: bytes, content_type: str, errors: str = "replace") -> str:
    """Return the text of a body. Raises UnicodeDecodeError with `errors` "strict" if it is none."""
    charset = content_type.partition("charset=")[2].partition(";")[0].strip(' "') or "utf-8"
    try:
        return body.decode(charset, errors)
    except LookupError:
        return body.decode("utf-8", errors)


def _parse_body(body: bytes, content_type: str) -> Any:
    kind, text = content_type.partition(";")[0], text_of(body, content_type)
    if kind.strip().lower() != "application/json" and not kind.strip().lower().endswith("+json"):
        return text
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        # The content type says JSON, but the body is not JSON.
        return text


def _describe_failure(error: Exception) -> str:
    if isinstance(error, urllib3.exceptions.SSLError):
        return "its certificate is not valid"
    if isinstance(error, urllib3.exceptions.NewConnectionError):  # checked first: it is also a TimeoutError
        return "no connection"
    return "too slow" if isinstance(error, urllib3.exceptions.TimeoutError) else "no connection"


def _retry_after_seconds(text: str) -> int:
    return min(int(text), _MAX_RETRY_AFTER_SECONDS) if text.isascii() and text.isdigit() and int(text) > 0 else 1
