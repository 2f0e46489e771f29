"""Idempotency-Key on writes: the first answer, again.

A key belongs to (tenant, subject, route). It is leased before the work and answered after it; a lease that ran out
(the sandbox died) is taken over with the same `operation_id`, which services give to what they create, so that the
repeat finds the thing made instead of making a second one.
"""

from collections.abc import Callable, Coroutine
from hashlib import sha256
from typing import Any, Protocol
from uuid import UUID

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from uuid6 import uuid7

from email_sender.errors import DomainError, InvalidInput, Unavailable
from email_sender.kit.auth import Principal, caller_of
from email_sender.kit.json_body import JsonRequest

_MAX_KEY = 255


class IdempotencyStore(Protocol):
    def begin(
        self, tenant_id: UUID, subject: str, route: str, key: str, body_hash: bytes, operation_id: UUID
    ) -> tuple[UUID, tuple[int, bytes] | None]:
        """Lease the key.

        Returns the operation's id (the given one, or what a dead lease left behind) and the answer given before,
        if any: status and body.

        Raises:
            InvalidInput: the key was used with another body.
            Conflict: the first request is still being worked on.
        """

    def finish(self, tenant_id: UUID, subject: str, route: str, key: str, status: int, body: bytes) -> None: ...

    def forget(self, tenant_id: UUID, subject: str, route: str, key: str) -> None:
        """The request was refused and left nothing: the key is free for a corrected one."""

    def expire(self, tenant_id: UUID, subject: str, route: str, key: str) -> None:
        """The work broke off and may have left something: the next try takes over, with the same operation id."""


class IdempotentRoute(APIRoute):
    """A route whose writes honour Idempotency-Key. The app's state holds the store as `idempotency`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            request = JsonRequest(request.scope, request.receive)
            request.state.operation_id = UUID(bytes=uuid7().bytes)
            key = request.headers.get("idempotency-key")
            if key is None or request.method == "GET":
                return await handle(request)
            if not key or len(key) > _MAX_KEY or not key.isprintable():
                raise InvalidInput(f"Idempotency-Key is 1 to {_MAX_KEY} printable characters.")
            caller = caller_of(request)
            return await _once(request, caller, key, handle)

        return handler


async def _once(
    request: Request, caller: Principal, key: str, handle: Callable[[Request], Coroutine[Any, Any, Response]]
) -> Response:
    store: IdempotencyStore = request.app.state.idempotency()
    route = f"{request.method} {request.url.path}"
    body_hash = sha256(request.url.query.encode() + b"\n" + await request.body()).digest()
    name = (caller.tenant_id, caller.subject, route, key)
    operation_id, earlier = store.begin(*name, body_hash, request.state.operation_id)
    if earlier is not None:
        return Response(earlier[1], earlier[0], {"idempotent-replayed": "true"}, "application/json")
    request.state.operation_id = operation_id
    try:
        response = await handle(request)
    except Unavailable:
        store.expire(*name)
        raise
    except (DomainError, RequestValidationError):
        store.forget(*name)
        raise
    store.finish(*name, response.status_code, bytes(response.body))
    return response


def operation_id(request: Request) -> UUID:
    """The id for what this request creates."""
    value: UUID = request.state.operation_id
    return value
