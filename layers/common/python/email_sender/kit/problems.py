"""Errors as application/problem+json (RFC 9457). Only this module maps errors to HTTP statuses."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from email_sender import errors
from email_sender.errors import DomainError, InvalidInput, Problem
from email_sender.kit.pydantic_problems import field_name, problems_of, sentence_of
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
    errors.NotSupported: 501,
    errors.Unavailable: 503,
    errors.ManagerStopped: 503,
}
_TITLES = {
    400: "The body is not JSON",
    401: "Authentication failed",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict with the current state",
    413: "Content too large",
    415: "Unsupported content type",
    422: "The input is invalid",
    429: "Too many requests",
    500: "Internal error",
    501: "Not implemented",
    503: "Temporarily unavailable",
}
# A body with thousands of unknown keys has as many errors; nobody reads more than these.
_MAX_PROBLEMS = 100
_CODES = {404: "not_found", 405: "method_not_allowed"}


def install(app: FastAPI) -> None:
    """Register the handlers that turn errors into problem documents."""
    app.add_exception_handler(DomainError, domain_error_response)
    app.add_exception_handler(RequestValidationError, _validation_error_response)
    app.add_exception_handler(HTTPException, _http_error_response)


def problem_response(
    request: Request, status: int, code: str, detail: str, problems: tuple[Problem, ...] = (), **headers: str
) -> JSONResponse:
    """Return a problem document. `headers` are response headers, with "_" in place of "-"."""
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
        body["errors"] = [{"pointer": entry.pointer, "message": entry.message} for entry in problems]
    response_headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return JSONResponse(body, status, response_headers, media_type="application/problem+json")


async def domain_error_response(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DomainError)  # noqa: S101  # FastAPI calls this handler for DomainError only
    status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 500)
    logger.info("request rejected", code=error.code, status=status)
    if status >= 500:
        logger.warning("a dependency failed", exc_info=error)
    problems = error.problems if isinstance(error, InvalidInput) else ()
    if isinstance(error, errors.RateLimited | errors.Unavailable | errors.InProgress):
        return problem_response(request, status, error.code, error.detail, problems, Retry_After=str(error.retry_after))
    return problem_response(request, status, error.code, error.detail, problems)


async def _validation_error_response(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101  # FastAPI calls this handler for this type only
    details = error.errors()
    if any(detail["type"] == "json_invalid" for detail in details):
        return problem_response(request, 400, InvalidInput.code, "The request body is not valid JSON.")
    problems = _request_problems(details[:_MAX_PROBLEMS], error.body)
    message = problems[0].message if problems else "The request is invalid."
    return problem_response(request, 422, InvalidInput.code, message, tuple(problems))


def _request_problems(details: Sequence[Mapping[str, Any]], body: Any) -> list[Problem]:
    """Return JSON pointers into the body, and `query:name`, `path:name` or `header:name` for other parts."""
    problems = []
    in_body = []
    for detail in details:
        source, *path = detail["loc"]
        if source == "body":
            in_body.append({**detail, "loc": tuple(path)})
            continue
        name = field_name([path[0], *(part for part in path[1:] if isinstance(part, int))])
        problems.append(Problem(f"{source}:{path[0]}", sentence_of(detail, name)))
    return problems + problems_of(in_body, body, root="The request body")


async def _http_error_response(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101  # FastAPI calls this handler for HTTPException only
    code = _CODES.get(error.status_code, "error")
    return problem_response(request, error.status_code, code, str(error.detail))


async def unexpected_error_response(request: Request, error: Exception) -> JSONResponse:
    logger.exception("unexpected error", exc_info=error)
    return problem_response(request, 500, "internal", "An internal error occurred. To report it, quote the request id.")
