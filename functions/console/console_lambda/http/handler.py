"""The HTTP entry point of the console: pages for people, on top of the HTTP API."""

import importlib
from collections.abc import Sequence

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from console_lambda.api import ApiProblem
from console_lambda.http.error_pages import error_page
from console_lambda.http.visitor import SECOND_FACTOR_PAGE, SecondFactorNeeded, SignInNeeded
from console_lambda.rendering import PREFIX
from email_sender.coordination.manager_gate import ManagerGate
from email_sender.errors import DomainError, Forbidden, NotFound, RateLimited, Unauthenticated
from email_sender.kit.http import create_app, lambda_handler
from email_sender.kit.rate_limiting import take_tokens
from email_sender.kit.telemetry import logger

_PAGES = (
    "sign_in", "second_factor", "assets", "needs_you", "people", "approvals", "contacts", "privacy", "suppressions",
    "templates", "workflows", "runs", "imports", "deliverability", "vectors", "tenant",
    "webhooks", "platform", "dashboards", "tenants", "audit",
)  # fmt: skip
_STATUS: dict[type[DomainError], int] = {Forbidden: 403, NotFound: 404, RateLimited: 429, Unauthenticated: 401}


def _routers() -> Sequence[APIRouter]:
    return [importlib.import_module(f"console_lambda.http.routes.{page}").router for page in _PAGES]


# Managers are stopped in the API, which a page meets as any client does.
app = create_app(
    "Email Sender: console",
    _routers(),
    lambda: ManagerGate(lambda: ()),
    take_tokens,
    prefix=PREFIX,
    form_paths=(PREFIX,),
)


@app.exception_handler(SignInNeeded)
async def _sign_in(request: Request, _error: Exception) -> Response:
    from urllib.parse import quote

    if request.headers.get("x-live"):
        # The page stays as it is; whoever reads it may still need what they typed.
        return Response(status_code=204)
    target = f"{PREFIX}/sign-in?to={quote(request.url.path if request.method == 'GET' else PREFIX)}"
    if request.headers.get("hx-request"):
        return Response(status_code=204, headers={"hx-redirect": target})
    return RedirectResponse(target, 303)


@app.exception_handler(SecondFactorNeeded)
async def _second_factor(_request: Request, _error: Exception) -> Response:
    return RedirectResponse(SECOND_FACTOR_PAGE, 303)


@app.exception_handler(ApiProblem)
async def _api_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiProblem)  # noqa: S101  # FastAPI calls this handler for ApiProblem only
    if error.status == 401:
        return await _sign_in(request, error)
    return error_page(request, error.status, error.detail, str(error.problem.get("request_id", "")))


@app.exception_handler(DomainError)
async def _domain_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, DomainError)  # noqa: S101  # FastAPI calls this handler for DomainError only
    status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 503)
    if status == 503:
        logger.warning("a dependency failed", exc_info=error)
    return error_page(request, status, error.detail)


@app.exception_handler(RequestValidationError)
async def _invalid(request: Request, _error: Exception) -> Response:
    return error_page(request, 404, "There is no such page. The link may be incomplete.")


@app.exception_handler(HTTPException)
async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # FastAPI calls this handler for HTTPException only
    return error_page(request, error.status_code, "There is no such page. The link may be incomplete.")


handler = lambda_handler(app)
