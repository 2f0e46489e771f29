"""Errors as application/problem+json (RFC 9457). The only place where an error becomes an HTTP status."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from email_sender import errors
from email_sender.errors import DomainError, InvalidInput, Problem
from email_sender.kit.telemetry import logger

_STATUS: dict[type[DomainError], int] = {
    errors.InvalidInput: 422,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.UnsupportedMediaType: 415,
    errors.PayloadTooLarge: 413,
    errors.RateLimited: 429,
    errors.NotImplementedHere: 501,
    errors.Unavailable: 503,
    errors.ManagerStopped: 503,
}
_TITLES = {
    400: "The body is not JSON",
    401: "A valid access token is needed",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "In conflict with the present state",
    413: "The body is too large",
    415: "Unsupported content type",
    422: "The input is not valid",
    429: "Too many requests",
    500: "Something went wrong on our side",
    501: "Not implemented",
    503: "Temporarily unavailable",
}
_CODES = {404: "not_found", 405: "method_not_allowed"}


def install(app: FastAPI) -> None:
    app.add_exception_handler(DomainError, domain_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)


def problem(
    request: Request, status: int, code: str, detail: str, problems: tuple[Problem, ...] = (), **headers: str
) -> JSONResponse:
    body: dict[str, Any] = {
        "type": f"urn:email-sender:{code}",
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        "instance": request.url.path,
        "code": code,
        "request_id": request.scope.get("request_id", ""),
    }
    if problems:
        body["errors"] = [{"pointer": each.pointer, "message": each.message} for each in problems]
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return JSONResponse(body, status, named, media_type="application/problem+json")


async def domain_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DomainError)  # noqa: S101  # what FastAPI registered it for
    status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 500)
    logger.info("request refused", code=error.code, status=status)
    if status >= 500:
        logger.warning("a dependency failed", exc_info=error)
    problems = error.problems if isinstance(error, InvalidInput) else ()
    if isinstance(error, errors.RateLimited | errors.Unavailable):
        return problem(request, status, error.code, error.detail, problems, Retry_After=str(error.retry_after))
    return problem(request, status, error.code, error.detail, problems)


async def _validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101  # what FastAPI registered it for
    found = error.errors()
    if any(item["type"] == "json_invalid" for item in found):
        return problem(request, 400, InvalidInput.code, "The body is not JSON.")
    problems = tuple(Problem(_pointer(item["loc"]), str(item["msg"])) for item in found)
    return problem(request, 422, InvalidInput.code, problems[0].message if problems else "Not valid.", problems)


def _pointer(location: tuple[int | str, ...]) -> str:
    """A JSON pointer for the body; "?name" for the query and the like, which have none."""
    where, *path = location
    if where == "body":
        return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
    return f"{where}:{'.'.join(str(part) for part in path)}"


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101  # what FastAPI registered it for
    code = _CODES.get(error.status_code, "error")
    return problem(request, error.status_code, code, str(error.detail))


async def unexpected(request: Request, error: Exception) -> JSONResponse:
    logger.exception("unexpected error", exc_info=error)
    return problem(request, 500, "internal", "Something went wrong on our side. The request id finds it in the logs.")
