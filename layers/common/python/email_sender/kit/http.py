"""The FastAPI application of an API area, and its handler for Lambda."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.routing import APIRoute
from mangum import Mangum

from email_sender import tracing
from email_sender.coordination.manager_gate import ManagerGate
from email_sender.kit import problems
from email_sender.kit.api_paths import BASE_PATH
from email_sender.kit.auth import Requires
from email_sender.kit.edge import EdgeMiddleware, TakeTokens
from email_sender.kit.idempotency import IdempotentRoute
from email_sender.kit.telemetry import log_trace, logger
from email_sender.security.permissions import Permission

# All responses are text. Mangum would encode other types as base64.
_TEXT_TYPES = ["text/", "application/json", "application/problem+json", "application/javascript"]


def create_app(
    title: str,
    routers: Sequence[APIRouter],
    gate: Callable[[], ManagerGate],
    limits: TakeTokens = lambda _scope: None,
    *,
    prefix: str = BASE_PATH,
    form_paths: Sequence[str] = (),
) -> FastAPI:
    """Create the application of an API area.

    `gate` rejects requests to stopped managers, and `limits` those beyond the limits of requests. `form_paths` are path
    prefixes where clients post something else than JSON, such as a form that a standard requires (RFC 8058).
    """
    app = FastAPI(
        title=title,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
    )
    app.state.routers = routers
    problems.install(app)
    for router in routers:
        app.include_router(router, prefix=prefix)
    origins = [origin for origin in os.environ.get("CORS_ORIGINS", "").split(",") if origin]
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["authorization", "cache-control", "content-type", "idempotency-key", "if-match"],
            expose_headers=["age", "ratelimit", "ratelimit-policy", "x-request-id", "etag", "retry-after", "location"],
            max_age=600,
        )
    app.add_middleware(EdgeMiddleware, gate=gate, limits=limits, form_paths=tuple(form_paths))
    return app


def _operation_id(route: APIRoute) -> str:
    """Return the operation id: the name of the route's function, by which the clients name their methods."""
    return route.name


@dataclass(frozen=True, slots=True)
class RouteInfo:
    """A documented route. `permission` is None for public routes; `idempotent` ones honour Idempotency-Key."""

    method: str
    path: str
    permission: Permission | None
    idempotent: bool = False


def routes_of(app: FastAPI) -> list[RouteInfo]:
    """Return every documented route with its permission, for the OpenAPI document and the tests."""
    routes = []
    for router in app.state.routers:
        for route in router.routes:
            if not isinstance(route, APIRoute) or not route.include_in_schema:
                continue
            permissions = [
                dependency.call.permission
                for dependency in route.dependant.dependencies
                if isinstance(dependency.call, Requires)
            ]
            permission = permissions[0] if permissions else None
            for method in sorted(route.methods or ()):
                idempotent = isinstance(route, IdempotentRoute) and method != "GET"
                routes.append(RouteInfo(method, BASE_PATH + route.path, permission, idempotent))
    return routes


def lambda_handler(app: FastAPI) -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    """Return the handler for Lambda: it receives one event of an HTTP API and returns one response."""
    asgi = Mangum(app, lifespan="off", text_mime_types=_TEXT_TYPES)

    @logger.inject_lambda_context(correlation_id_path="requestContext.requestId", clear_state=True)
    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        with tracing.invocation("request", traceparent=_traceparent(event)):
            log_trace()
            return asgi(event, context)

    return handler


def _traceparent(event: dict[str, Any]) -> str | None:
    """Return the caller's trace. Only signed-in callers may decide what is traced: it costs the operator money."""
    if "jwt" not in event.get("requestContext", {}).get("authorizer", {}):
        return None
    traceparent: str | None = (event.get("headers") or {}).get("traceparent")
    return traceparent
