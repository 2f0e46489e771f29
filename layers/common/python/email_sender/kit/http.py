"""The app of an API area: FastAPI with what every answer of ours has."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.routing import APIRoute
from mangum import Mangum
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from email_sender.coordination.gate import Gate
from email_sender.errors import DomainError, PayloadTooLarge, UnsupportedMediaType
from email_sender.kit import problems
from email_sender.kit.auth import Requires
from email_sender.kit.telemetry import logger, request_took
from email_sender.security.permissions import Permission

BASE_PATH = "/api/v1"
MAX_BODY_BYTES = 5 * 1024 * 1024
# Lambda gives back 6,291,556 bytes of JSON, in which the body is a text: its quotes and backslashes count twice.
MAX_ANSWER_BYTES = 6_200_000

_ANSWER_TOO_LARGE = (
    f"The answer would have more than {MAX_ANSWER_BYTES} bytes: ask for fewer at a time, by a smaller limit or in more "
    "calls, or for less of each, without vectors."
)

# Everything we answer is text; what is not named here would travel as base64.
_TEXT_TYPES = ["text/", "application/json", "application/problem+json", "application/javascript"]

_SECURITY_HEADERS: Sequence[tuple[bytes, bytes]] = (
    (b"strict-transport-security", b"max-age=63072000; includeSubDomains"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)
# Pages bring their own stricter or wider policy; everything else is data and may load nothing.
_DEFAULT_HEADERS: Sequence[tuple[bytes, bytes]] = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)


def create_app(
    title: str, routers: Sequence[APIRouter], gate: Callable[[], Gate], *, form_paths: Sequence[str] = ()
) -> FastAPI:
    """`gate` keeps the routes of stopped managers closed.

    `form_paths` are prefixes where a standard has a client post a form (RFC 8058) instead of JSON.
    """
    app = FastAPI(title=title, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.state.routers = routers
    problems.install(app)
    for router in routers:
        app.include_router(router, prefix=BASE_PATH)
    origins = [origin for origin in os.environ.get("CORS_ORIGINS", "").split(",") if origin]
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["authorization", "content-type", "idempotency-key", "if-match"],
            expose_headers=["x-request-id", "etag", "retry-after", "location"],
            max_age=600,
        )
    app.add_middleware(Edge, gate=gate, form_paths=tuple(form_paths))
    return app


@dataclass(frozen=True, slots=True)
class RouteInfo:
    """`permission` None: public."""

    method: str
    path: str
    permission: Permission | None


def routes_of(app: FastAPI) -> list[RouteInfo]:
    """Every documented route with the permission it asks for: what the OpenAPI document and the tests walk."""
    found = []
    for router in app.state.routers:
        for route in router.routes:
            if not isinstance(route, APIRoute) or not route.include_in_schema:
                continue
            asked = [each.call.permission for each in route.dependant.dependencies if isinstance(each.call, Requires)]
            permission = asked[0] if asked else None
            found += [RouteInfo(method, BASE_PATH + route.path, permission) for method in sorted(route.methods or ())]
    return found


def lambda_handler(app: FastAPI) -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    """What Lambda calls: one HTTP API event in, one answer out."""
    asgi = Mangum(app, lifespan="off", text_mime_types=_TEXT_TYPES)

    @logger.inject_lambda_context(correlation_id_path="requestContext.requestId", clear_state=True)
    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        return asgi(event, context)

    return handler


class Edge:
    """The outermost layer: request id, headers, limits, the gate, the time taken. Plain ASGI: it costs microseconds."""

    def __init__(self, app: ASGIApp, gate: Callable[[], Gate], form_paths: tuple[str, ...] = ()) -> None:
        self._app = app
        self._gate = gate
        self._form_paths = form_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        event = scope.get("aws.event", {})
        request_id = str(event.get("requestContext", {}).get("requestId", ""))
        scope["request_id"] = request_id
        status = 500
        held: Message | None = None

        async def send_with_headers(message: Message) -> None:
            """The start waits for the body: of one that Lambda would not hand on, another is sent."""
            nonlocal status, held
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _completed(message.get("headers", []), request_id)
                held = message
                return
            start, held = held, None
            if start is not None and _answer_bytes(message.get("body", b"")) > MAX_ANSWER_BYTES:
                answer = await problems.domain_error(Request(scope), PayloadTooLarge(_ANSWER_TOO_LARGE))
                await answer(scope, receive, send_with_headers)
                return
            if start is not None:
                await send(start)
            await send(message)

        try:
            _refuse_early(scope, self._form_paths)
            self._gate().check_path(scope["path"].removeprefix(BASE_PATH))
        except DomainError as error:
            # Before the app: what is too large or not JSON is not parsed.
            answer = await problems.domain_error(Request(scope), error)
            await answer(scope, receive, send_with_headers)
        else:
            try:
                await self._app(scope, receive, send_with_headers)
            except Exception as error:
                # Here and not as the framework's handler: that one answers outside of this layer, without its headers.
                answer = await problems.unexpected(Request(scope), error)
                await answer(scope, receive, send_with_headers)
        request_took(scope["method"], _template(scope), status, time.perf_counter() - started)


def _answer_bytes(body: bytes) -> int:
    """As a text in Lambda's JSON."""
    return len(body) + body.count(b'"') + body.count(b"\\") if len(body) > MAX_ANSWER_BYTES // 2 else len(body)


def _template(scope: Scope) -> str:
    path = getattr(scope.get("route"), "path", None)
    if path is None:
        return "unmatched"
    # The framework's template may lack the prefix its router was included with.
    prefixed = scope["path"].startswith(BASE_PATH) and not path.startswith(BASE_PATH)
    return BASE_PATH + path if prefixed else str(path)


def _refuse_early(scope: Scope, form_paths: tuple[str, ...]) -> None:
    if scope["method"] not in ("POST", "PUT", "PATCH"):
        return
    headers = dict(scope["headers"])
    body = scope.get("aws.event", {}).get("body") or ""
    # A base64 body is a third longer than its bytes; the limit is on the bytes.
    encoded = scope.get("aws.event", {}).get("isBase64Encoded", False)
    size = len(body) * 3 // 4 if encoded else len(body.encode())
    if size > MAX_BODY_BYTES:
        raise PayloadTooLarge(
            f"A body is at most {MAX_BODY_BYTES} bytes. For more, use {BASE_PATH}/vectors/imports: it takes a file."
        )
    if not body or scope["path"].startswith(form_paths or ("\0",)):
        return
    content_type = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
    if content_type != b"application/json":
        raise UnsupportedMediaType("Send the body as application/json.")


def _completed(headers: list[tuple[bytes, bytes]], request_id: str) -> list[tuple[bytes, bytes]]:
    present = {name for name, _ in headers}
    added = [pair for pair in _DEFAULT_HEADERS if pair[0] not in present]
    return [*headers, *_SECURITY_HEADERS, *added, (b"x-request-id", request_id.encode())]
