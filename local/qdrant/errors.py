"""What the server refuses, and the gRPC status that says so.

::

    Refused
    ├── Invalid       INVALID_ARGUMENT   "Wrong input: …"
    ├── Missing       NOT_FOUND          "Not found: …"
    ├── Exists        ALREADY_EXISTS     "Wrong input: …"
    └── Unsupported   UNIMPLEMENTED      "Not supported by the local Qdrant: …"

The words in front are Qdrant's own: clients read them.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from typing import Any, ClassVar

import grpc

logger = logging.getLogger("local.qdrant")


class Refused(Exception):
    """A request the server will not carry out; ``code`` is its gRPC status."""

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.INTERNAL
    prefix: ClassVar[str] = "Service internal error: "

    def __str__(self) -> str:
        return self.prefix + super().__str__()


class Invalid(Refused):
    code = grpc.StatusCode.INVALID_ARGUMENT
    prefix = "Wrong input: "


class Missing(Refused):
    code = grpc.StatusCode.NOT_FOUND
    prefix = "Not found: "


class Exists(Refused):
    code = grpc.StatusCode.ALREADY_EXISTS
    prefix = "Wrong input: "


class Unsupported(Refused):
    code = grpc.StatusCode.UNIMPLEMENTED
    prefix = "Not supported by the local Qdrant: "


def from_engine(error: Exception) -> Refused:
    """Name an engine's exception.

    The engine raises bare ``Exception`` and ``ValueError``: only the words tell a caller's mistake from its own.
    """
    words = str(error)
    if words.startswith("No point with id"):
        return Missing(f"{words} found")
    if words.startswith(("Service runtime error", "Service internal error")):
        return Refused(words)
    return Invalid(words)


def answers[Request, Response](
    method: Callable[[Any, Request], Response],
) -> Callable[[Any, Request, grpc.ServicerContext], Response]:
    """Turn ``method(self, request)`` into a gRPC handler: it times the work and maps what is raised to a status."""

    @functools.wraps(method)
    def handler(self: Any, request: Request, context: grpc.ServicerContext) -> Response:
        began = time.perf_counter()
        try:
            response: Any = method(self, request)
        except Exception as error:
            refused = error if isinstance(error, Refused) else from_engine(error)
            if refused.code is grpc.StatusCode.INTERNAL:
                logger.exception("%s failed", method.__name__)
            context.abort(refused.code, str(refused))
            raise
        response.time = time.perf_counter() - began
        return response  # type: ignore[no-any-return]

    return handler


def rest_unsupported[Api: type](api: Api) -> Api:
    """Make a servicer's methods that nobody wrote name themselves in their UNIMPLEMENTED."""
    generated = api.__bases__[0]
    for name in vars(generated):
        if not name.startswith("_") and name not in vars(api):
            setattr(api, name, _unsupported(name))
    return api


def _unsupported(name: str) -> Callable[[Any, Any, grpc.ServicerContext], None]:
    def handler(_self: Any, _request: Any, context: grpc.ServicerContext) -> None:
        refused = Unsupported(name)
        context.abort(refused.code, str(refused))

    return handler
