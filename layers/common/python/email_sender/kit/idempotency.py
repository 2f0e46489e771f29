"""Idempotency-Key for writes: a repeated request receives the first response again.

A key belongs to (tenant, subject, route). It is leased before the work, and the response is stored with it after the
work. If a lease expires because the execution environment died, the next attempt takes it over with the same
`operation_id`. Services use that id for what they create, so a repeat finds the object instead of making a new one.
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
from email_sender.kit.json_requests import JsonRequest

_MAX_KEY_LENGTH = 255


class IdempotencyStore(Protocol):
    def begin(
        self, tenant_id: UUID, subject: str, route: str, key: str, body_hash: bytes, operation_id: UUID
    ) -> tuple[UUID, tuple[int, bytes] | None]:
        """Lease the key.

        Returns the operation id (the given one, or the one of an expired lease) and, if the request was already
        answered, the status and the body of its response.

        Raises:
            InvalidInput: the key was used with a different request.
            InProgress: the first request has not ended.
        """

    def finish(self, tenant_id: UUID, subject: str, route: str, key: str, status: int, body: bytes) -> None:
        """Store the response of the request."""

    def forget(self, tenant_id: UUID, subject: str, route: str, key: str) -> None:
        """Delete the key: the request was rejected without effects, and a corrected request may use the key."""

    def expire(self, tenant_id: UUID, subject: str, route: str, key: str) -> None:
        """End the lease: the work failed and may have had effects. The next attempt keeps the operation id."""


class IdempotentRoute(APIRoute):
    """A route whose writes honour Idempotency-Key. `app.state.idempotency` returns the store."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            request = JsonRequest(request.scope, request.receive)
            request.state.operation_id = UUID(bytes=uuid7().bytes)
            key = request.headers.get("idempotency-key")
            if key is None or request.method == "GET":
                return await handle(request)
            if not key or len(key) > _MAX_KEY_LENGTH or not key.isprintable():
                raise InvalidInput(f"The Idempotency-Key header must have 1 to {_MAX_KEY_LENGTH} printable characters.")
            caller = caller_of(request)
            return await _handle_once(request, caller, key, handle)

        return handler


async def _handle_once(
    request: Request, caller: Principal, key: str, handle: Callable[[Request], Coroutine[Any, Any, Response]]
) -> Response:
    store: IdempotencyStore = request.app.state.idempotency()
    route = f"{request.method} {request.url.path}"
    body_hash = sha256(request.url.query.encode() + b"\n" + await request.body()).digest()
    key_scope = (caller.tenant_id, caller.subject, route, key)
    operation_id, stored_response = store.begin(*key_scope, body_hash, request.state.operation_id)
    if stored_response is not None:
        return Response(stored_response[1], stored_response[0], {"idempotent-replayed": "true"}, "application/json")
    request.state.operation_id = operation_id
    try:
        response = await handle(request)
    except Unavailable:
        store.expire(*key_scope)
        raise
    except (DomainError, RequestValidationError):
        store.forget(*key_scope)
        raise
    store.finish(*key_scope, response.status_code, bytes(response.body))
    return response


def operation_id(request: Request) -> UUID:
    """Return the id to use for the object that this request creates."""
    value: UUID = request.state.operation_id
    return value
