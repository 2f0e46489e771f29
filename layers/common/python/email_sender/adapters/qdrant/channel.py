"""One channel to the engine, kept across invocations: deadlines, one retry, a circuit breaker."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import pybreaker

from email_sender.adapters.qdrant.wire import pb
from email_sender.errors import DomainError, InvalidInput, NotFound, Unavailable

# A search that takes longer is of no use to who waits; a batch of a thousand points is stored in less.
SECONDS = 3.0
_PROBE_SECONDS = 0.5
# A collection of many gigabytes is written to disk once more.
_SNAPSHOT_SECONDS = 600.0
# After this long without a call the sandbox may have been frozen, and the connection dropped by what lies between.
_IDLE_SECONDS = 30.0
_FAILURES_TO_OPEN = 5
_OPEN_SECONDS = 5

_MAX_MESSAGE = 64 * 1024 * 1024
_OPTIONS = [
    ("grpc.max_receive_message_length", _MAX_MESSAGE),
    ("grpc.max_send_message_length", _MAX_MESSAGE),
    # Ours: without it gRPC would wait, up to two minutes after some failures, before it tries to connect again.
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
]
_TRANSIENT = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.ABORTED,
)
_ANSWERS = {
    "Upsert": pb.PointsOperationResponse,
    "Delete": pb.PointsOperationResponse,
    "SetPayload": pb.PointsOperationResponse,
    "DeletePayload": pb.PointsOperationResponse,
    "CreateFieldIndex": pb.PointsOperationResponse,
    "UpdateBatch": pb.UpdateBatchResponse,
    "Query": pb.QueryResponse,
    "QueryBatch": pb.QueryBatchResponse,
    "QueryGroups": pb.QueryGroupsResponse,
    "Count": pb.CountResponse,
    "Scroll": pb.ScrollResponse,
    "Get": pb.GetResponse,
}
_COLLECTION_ANSWERS = {
    "Get": pb.GetCollectionInfoResponse,
    "List": pb.ListCollectionsResponse,
    "CollectionExists": pb.CollectionExistsResponse,
    "Create": pb.CollectionOperationResponse,
    "Update": pb.CollectionOperationResponse,
    "Delete": pb.CollectionOperationResponse,
    "UpdateAliases": pb.CollectionOperationResponse,
    "ListAliases": pb.ListAliasesResponse,
}


@dataclass(frozen=True, slots=True)
class Address:
    """Where the engine is. `api_key` is sent with every call; it is kept out of `repr`."""

    host: str
    port: int
    tls: bool = True
    api_key: str = field(default="", repr=False)


class Channel:
    """Calls of the services Points and Collections.

    A request is bytes: what is large was packed by hand (packing.py). Raises Unavailable where the engine does not
    answer, InvalidInput and NotFound where it refuses.
    """

    def __init__(
        self,
        address: Address,
        *,
        now: Callable[[], float] = time.monotonic,
        told: Callable[[str], None] = lambda _state: None,
    ) -> None:
        """`told` hears of every new state of the breaker."""
        self._address, self._now = address, now
        self._metadata = [("api-key", address.api_key)] if address.api_key else None
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=_FAILURES_TO_OPEN, reset_timeout=_OPEN_SECONDS, exclude=[_is_an_answer], listeners=[_Teller(told)]
        )
        self._channel: grpc.Channel | None = None
        self._calls: dict[str, Callable[..., Any]] = {}
        self._last_use = 0.0

    def points(self, method: str, request: bytes, *, seconds: float = SECONDS, repeatable: bool = True) -> Any:
        return self._call(f"/qdrant.Points/{method}", request, _ANSWERS[method], seconds, repeatable)

    def collections(self, method: str, request: bytes, *, seconds: float = 30.0, repeatable: bool = True) -> Any:
        return self._call(f"/qdrant.Collections/{method}", request, _COLLECTION_ANSWERS[method], seconds, repeatable)

    def snapshot(self, collection: str) -> str | None:
        """The name of a snapshot made now; None where the engine makes none."""
        request = pb.CreateSnapshotRequest(collection_name=collection).SerializeToString()
        path, answer = "/qdrant.Snapshots/Create", pb.CreateSnapshotResponse
        try:
            made = self._breaker.call(self._tried, path, request, answer, _SNAPSHOT_SECONDS, repeatable=False)
        except pybreaker.CircuitBreakerError:
            raise Unavailable("The vector engine does not answer for the moment.", _OPEN_SECONDS) from None
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                return None
            raise _translated(error) from error
        return str(made.snapshot_description.name)

    @property
    def state(self) -> str:
        """Of the breaker: closed, open or half-open."""
        return str(self._breaker.current_state)

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
            self._calls.clear()

    def _call(self, path: str, request: bytes, answer: Any, seconds: float, repeatable: bool) -> Any:
        try:
            return self._breaker.call(self._tried, path, request, answer, seconds, repeatable)
        except pybreaker.CircuitBreakerError:
            raise Unavailable("The vector engine does not answer for the moment.", _OPEN_SECONDS) from None
        except grpc.RpcError as error:
            raise _translated(error) from error

    def _tried(self, path: str, request: bytes, answer: Any, seconds: float, repeatable: bool) -> Any:
        """One retry of what may be done twice: reads, and writes with ids of our own choosing."""
        self._check_after_a_thaw()
        try:
            return self._once(path, request, answer, seconds)
        except grpc.RpcError as error:
            # What ran into its deadline once would only make the caller wait twice.
            if not repeatable or error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            return self._once(path, request, answer, seconds)

    def _once(self, path: str, request: bytes, answer: Any, seconds: float) -> Any:
        found = self._calls.get(path)
        if found is None:
            found = self._calls[path] = self._open().unary_unary(path, None, answer.FromString)
        reply = found(request, timeout=seconds, metadata=self._metadata)
        self._last_use = self._now()
        return reply

    def _check_after_a_thaw(self) -> None:
        """A connection that died while the sandbox slept costs half a second here, not a whole deadline."""
        if self._channel is None or self._now() - self._last_use < _IDLE_SECONDS:
            return
        try:
            self._once("/qdrant.Qdrant/HealthCheck", b"", pb.HealthCheckReply, _PROBE_SECONDS)
        except grpc.RpcError:
            self.close()

    def _open(self) -> grpc.Channel:
        if self._channel is None:
            target = f"{self._address.host}:{self._address.port}"
            if self._address.tls:
                self._channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(), _OPTIONS)
            else:
                self._channel = grpc.insecure_channel(target, _OPTIONS)
        return self._channel


class _Teller(pybreaker.CircuitBreakerListener):
    def __init__(self, told: Callable[[str], None]) -> None:
        self._told = told

    def state_change(self, cb: Any, old_state: Any, new_state: Any) -> None:  # noqa: ARG002  # the library's
        self._told(str(new_state.name))


def _is_an_answer(error: BaseException) -> bool:
    """A refusal is an answer: the engine is there."""
    return not isinstance(error, grpc.RpcError) or error.code() not in _TRANSIENT


def _translated(error: grpc.RpcError) -> DomainError:
    code = error.code()
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        # About the request and what it asks for; the engine names no host and no other point in it.
        return InvalidInput(f"The vector engine refused the request: {str(error.details())[:300]}")
    if code is grpc.StatusCode.NOT_FOUND:
        return NotFound("There is no such collection or point.")
    return Unavailable("The vector engine did not answer.")
