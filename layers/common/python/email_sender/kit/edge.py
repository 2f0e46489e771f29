"""The outermost middleware of every API area: request id, headers, origin, limits, masking, gate and duration."""

import math
import time
from collections.abc import Callable, Sequence

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from email_sender import tracing
from email_sender.adapters.postgres.stale_reads import AcceptedAge, accept
from email_sender.coordination.manager_gate import ManagerGate
from email_sender.errors import DomainError, PayloadTooLarge, UnsupportedMediaType
from email_sender.kit import problems
from email_sender.kit.api_paths import BASE_PATH, CONSOLE_PATH
from email_sender.kit.masking import mask_body
from email_sender.kit.origin import check_origin
from email_sender.kit.rate_limiting import limit_headers
from email_sender.kit.telemetry import logger, record_request_duration
from email_sender.security.rate_limits import Standing

MAX_BODY_BYTES = 5 * 1024 * 1024
# Lambda returns at most 6,291,556 bytes of JSON. In it the body is a string: quotes and backslashes take two bytes.
MAX_RESPONSE_BYTES = 6_200_000

# A caller who accepts any age gets at most this one.
_MAX_AGE_SECONDS = 300.0

_RESPONSE_TOO_LARGE = (
    f"The response would be larger than {MAX_RESPONSE_BYTES} bytes. Use a smaller limit, send several smaller "
    "requests, or leave out the vectors."
)

_SECURITY_HEADERS: Sequence[tuple[bytes, bytes]] = (
    (b"strict-transport-security", b"max-age=63072000; includeSubDomains"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)
# Pages set their own policy. All other responses are data and may load nothing.
_DEFAULT_HEADERS: Sequence[tuple[bytes, bytes]] = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)

# Takes a token from each bucket of a request. Raises RateLimited.
type TakeTokens = Callable[[Scope], Standing | None]


class EdgeMiddleware:
    """The outermost middleware: request id, headers, origin, limits, manager gate and request duration.

    It is plain ASGI, which adds only microseconds to a request.
    """

    def __init__(
        self, app: ASGIApp, gate: Callable[[], ManagerGate], limits: TakeTokens, form_paths: tuple[str, ...] = ()
    ) -> None:
        self._app = app
        self._gate = gate
        self._limits = limits
        self._form_paths = form_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_at = time.perf_counter()
        event = scope.get("aws.event", {})
        request_id = str(event.get("requestContext", {}).get("requestId", ""))
        scope["request_id"] = request_id
        status = 500
        pending_start: Message | None = None
        age = AcceptedAge(0)
        standing: Standing | None = None

        async def send_with_headers(message: Message) -> None:
            """Hold the start back until the body arrives, to replace a response that is too large for Lambda."""
            nonlocal status, pending_start
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _add_headers(message.get("headers", []), request_id)
                if standing is not None:
                    message["headers"] += limit_headers(standing)
                if (trace := tracing.traceparent()) is not None:
                    message["headers"].append((b"traceparent", trace.encode()))
                if age.read is not None:
                    message["headers"].append((b"age", str(math.ceil(age.read)).encode()))
                pending_start = message
                return
            response_start, pending_start = pending_start, None
            if scope.get("masks_addresses") and message.get("body"):
                message["body"] = mask_body(message["body"])
                if response_start is not None:
                    response_start["headers"] = _with_length(response_start["headers"], len(message["body"]))
            if response_start is not None and _size_in_json(message.get("body", b"")) > MAX_RESPONSE_BYTES:
                response = await problems.domain_error_response(Request(scope), PayloadTooLarge(_RESPONSE_TOO_LARGE))
                await response(scope, receive, send_with_headers)
                return
            if response_start is not None:
                await send(response_start)
            await send(message)

        accepted_seconds = _accepted_age(scope)
        try:
            check_origin(scope)
            standing = self._limits(scope)
            _check_body(scope, self._form_paths)
            self._gate().check_path(scope["path"].removeprefix(BASE_PATH))
        except DomainError as error:
            # Reject before the application runs, which would parse the body.
            response = await problems.domain_error_response(Request(scope), error)
            await response(scope, receive, send_with_headers)
        else:
            try:
                if accepted_seconds is None:
                    await self._app(scope, receive, send_with_headers)
                else:
                    with accept(accepted_seconds) as age:
                        await self._app(scope, receive, send_with_headers)
            except Exception as error:
                # FastAPI's own handler would run outside this middleware, and its response would lack the headers.
                response = await problems.unexpected_error_response(Request(scope), error)
                await response(scope, receive, send_with_headers)
        route = _route_template(scope)
        seconds = time.perf_counter() - started_at
        record_request_duration(scope["method"], route, status, seconds)
        logger.debug("request answered", method=scope["method"], route=route, status=status, seconds=seconds)
        tracing.describe(
            f"{scope['method']} {route}",
            failed=status >= 500,
            http__request__method=scope["method"],
            http__route=route,
            http__response__status_code=status,
        )


def _with_length(headers: list[tuple[bytes, bytes]], length: int) -> list[tuple[bytes, bytes]]:
    others = [pair for pair in headers if pair[0] != b"content-length"]
    return [*others, (b"content-length", str(length).encode())]


def _size_in_json(body: bytes) -> int:
    """Return the size of the body as a string in Lambda's JSON."""
    return len(body) + body.count(b'"') + body.count(b"\\") if len(body) > MAX_RESPONSE_BYTES // 2 else len(body)


def _accepted_age(scope: Scope) -> float | None:
    """Return the seconds of `Cache-Control: max-stale=<seconds>` (RFC 9111, 5.2.1.2) of a request that only reads."""
    if scope["method"] != "GET":
        return None
    directives = dict(scope["headers"]).get(b"cache-control", b"").decode("latin-1").split(",")
    for directive in directives:
        name, _, seconds = directive.strip().partition("=")
        if name.lower() == "max-stale" and seconds.isdecimal():
            return min(float(seconds), _MAX_AGE_SECONDS)
    return None


def _route_template(scope: Scope) -> str:
    path = getattr(scope.get("route"), "path", None)
    if path is None:
        return "unmatched"
    # FastAPI's template may lack the prefix with which its router was included.
    prefix = next((prefix for prefix in (BASE_PATH, CONSOLE_PATH) if scope["path"].startswith(prefix)), "")
    return str(path) if path.startswith(prefix) else prefix + path


def _check_body(scope: Scope, form_paths: tuple[str, ...]) -> None:
    if scope["method"] not in ("POST", "PUT", "PATCH"):
        return
    headers = dict(scope["headers"])
    body = scope.get("aws.event", {}).get("body") or ""
    # The limit is on the decoded bytes; base64 is one third longer.
    is_base64 = scope.get("aws.event", {}).get("isBase64Encoded", False)
    size = len(body) * 3 // 4 if is_base64 else len(body.encode())
    if size > MAX_BODY_BYTES:
        raise PayloadTooLarge(
            f"The body is larger than {MAX_BODY_BYTES} bytes. Upload larger inputs as a file: POST "
            f"{BASE_PATH}/vectors/imports."
        )
    if not body or scope["path"].startswith(form_paths or ("\0",)):
        return
    content_type = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
    if content_type != b"application/json":
        raise UnsupportedMediaType("Send the body as application/json.")


def _add_headers(headers: list[tuple[bytes, bytes]], request_id: str) -> list[tuple[bytes, bytes]]:
    present_names = {name for name, _ in headers}
    default_headers = [pair for pair in _DEFAULT_HEADERS if pair[0] not in present_names]
    return [*headers, *_SECURITY_HEADERS, *default_headers, (b"x-request-id", request_id.encode())]
