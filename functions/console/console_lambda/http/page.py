"""A response with a page, and the routes that return pages."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from console_lambda import bootstrap
from email_sender.errors import DomainError
from email_sender.kit.telemetry import logger


class Page(HTMLResponse):
    """A page loads scripts, styles and pictures from the console only, and has nothing inline."""

    def __init__(self, content: str, status_code: int = 200, headers: dict[str, str] | None = None) -> None:
        uploads = bootstrap.settings().uploads_origin
        policy = (
            f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
            f"connect-src 'self' {uploads}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
        super().__init__(content, status_code, {"content-security-policy": policy, **(headers or {})})


class _PageRoute(APIRoute):
    """A route whose unexpected errors are pages too."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_all(request: Request) -> Response:
            from console_lambda.api import ApiProblem
            from console_lambda.http.error_pages import error_page
            from console_lambda.http.visitor import SecondFactorNeeded, SignInNeeded

            try:
                return await handle(request)
            except (ApiProblem, DomainError, SecondFactorNeeded, SignInNeeded, RequestValidationError, HTTPException):
                raise
            except Exception as error:  # a page for whatever is a bug
                logger.exception("unexpected error", exc_info=error)
                return error_page(request, 500, "An internal error occurred.")

        return handle_all


def page_router() -> APIRouter:
    return APIRouter(route_class=_PageRoute, include_in_schema=False)
