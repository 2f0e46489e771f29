"""The errors of the server, and their gRPC statuses.

::

    RequestRefused
    ├── InvalidArgument   INVALID_ARGUMENT   "Wrong input: …"
    ├── NotFound          NOT_FOUND          "Not found: …"
    ├── AlreadyExists     ALREADY_EXISTS     "Wrong input: …"
    └── Unimplemented     UNIMPLEMENTED      "Not supported by the local Qdrant: …"

Clients may read the prefixes, so they are the same as Qdrant's.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from typing import Any, ClassVar

import grpc

logger = logging.getLogger("local.qdrant")


class RequestRefused(Exception):
    """A request failed. ``code`` is its gRPC status."""

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.INTERNAL
    prefix: ClassVar[str] = "Service internal error: "

    def __str__(self) -> str:
        return self.prefix + super().__str__()


class InvalidArgument(RequestRefused):
    code = grpc.StatusCode.INVALID_ARGUMENT
    prefix = "Wrong input: "


class NotFound(RequestRefused):
    code = grpc.StatusCode.NOT_FOUND
    prefix = "Not found: "


class AlreadyExists(RequestRefused):
    code = grpc.StatusCode.ALREADY_EXISTS
    prefix = "Wrong input: "


class Unimplemented(RequestRefused):
    code = grpc.StatusCode.UNIMPLEMENTED
    prefix = "Not supported by the local Qdrant: "


def from_engine(error: Exception) -> RequestRefused:
    """Convert an exception of the engine.

    The engine raises bare ``Exception`` and ``ValueError``, so only the message shows whether the request was wrong.
    """
    text = str(error)
    if text.startswith("No point with id"):
        return NotFound(f"{text} found")
    if text.startswith(("Service runtime error", "Service internal error")):
        return RequestRefused(text)
    return InvalidArgument(text)


def grpc_method[Request, Response](
    method: Callable[[Any, Request], Response],
) -> Callable[[Any, Request, grpc.ServicerContext], Response]:
    """Turn ``method(self, request)`` into a gRPC handler that measures its time and maps errors to statuses."""

    @functools.wraps(method)
    def handler(self: Any, request: Request, context: grpc.ServicerContext) -> Response:
        started = time.perf_counter()
        try:
            response: Any = method(self, request)
        except Exception as error:
            refusal = error if isinstance(error, RequestRefused) else from_engine(error)
            if refusal.code is grpc.StatusCode.INTERNAL:
                logger.exception("%s failed", method.__name__)
            context.abort(refusal.code, str(refusal))
            raise
        response.time = time.perf_counter() - started
        return response  # type: ignore[no-any-return]

    return handler


def unimplemented_by_default[Api: type](api: Api) -> Api:
    """Make the methods that a servicer does not define return UNIMPLEMENTED with their name."""
    generated = api.__bases__[0]
    for name in vars(generated):
        if not name.startswith("_") and name not in vars(api):
            setattr(api, name, _unimplemented(name))
    return api


def _unimplemented(name: str) -> Callable[[Any, Any, grpc.ServicerContext], None]:
    def handler(_self: Any, _request: Any, context: grpc.ServicerContext) -> None:
        refusal = Unimplemented(name)
        context.abort(refusal.code, str(refusal))

    return handler
