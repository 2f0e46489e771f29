"""A gRPC channel to the vector engine, reused across invocations, with deadlines, one retry and a circuit breaker."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import pybreaker

from email_sender import tracing
from email_sender.adapters.qdrant.wire import pb
from email_sender.errors import DomainError, InvalidInput, NotFound, Unavailable

# A slower search is useless to its caller. Storing a batch of a thousand points takes less.
DEADLINE_SECONDS = 3.0
_PROBE_SECONDS = 0.5
# A snapshot writes the whole collection to disk again, which may be many gigabytes.
_SNAPSHOT_SECONDS = 600.0
# After this long without a call, the execution environment may have been frozen and the connection may be dead.
_IDLE_SECONDS = 30.0
_FAILURES_TO_OPEN = 5
_OPEN_SECONDS = 5

_MAX_MESSAGE = 64 * 1024 * 1024
_OPTIONS = [
    ("grpc.max_receive_message_length", _MAX_MESSAGE),
    ("grpc.max_send_message_length", _MAX_MESSAGE),
    # By default gRPC waits up to two minutes after several failures before it reconnects.
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
]
_TRANSIENT = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.ABORTED,
)
_RESPONSE_TYPES = {
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
_COLLECTION_RESPONSE_TYPES = {
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
    """The engine's address. `api_key` is sent with every call and left out of `repr`.

    `host` is a name, or the IP addresses of several nodes, separated by commas. All addresses of a name, or of such a
    list, are tried in turn, so that a dead node is passed over.
    """

    host: str
    port: int
    tls: bool = True
    api_key: str = field(default="", repr=False)


class Channel:
    """Calls of Qdrant's Points and Collections services.

    A request is bytes, because large requests are packed without protobuf objects (packing.py).

    Raises:
        Unavailable: the engine does not respond.
        InvalidInput, NotFound: the engine rejects the request.
    """

    def __init__(
        self,
        address: Address,
        *,
        now: Callable[[], float] = time.monotonic,
        on_state_change: Callable[[str], None] = lambda _state: None,
    ) -> None:
        """`on_state_change` is called with each new state of the circuit breaker."""
        self._address, self._now = address, now
        self._metadata = [("api-key", address.api_key)] if address.api_key else None
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=_FAILURES_TO_OPEN,
            reset_timeout=_OPEN_SECONDS,
            exclude=[_engine_responded],
            listeners=[_BreakerListener(on_state_change)],
        )
        self._channel: grpc.Channel | None = None
        self._calls: dict[str, Callable[..., Any]] = {}
        self._last_use = 0.0

    def points(self, method: str, request: bytes, *, seconds: float = DEADLINE_SECONDS, repeatable: bool = True) -> Any:
        """Call a method of the Points service. `repeatable` permits a retry."""
        return self._call(f"/qdrant.Points/{method}", request, _RESPONSE_TYPES[method], seconds, repeatable)

    def collections(self, method: str, request: bytes, *, seconds: float = 30.0, repeatable: bool = True) -> Any:
        """Call a method of the Collections service. `repeatable` permits a retry."""
        return self._call(
            f"/qdrant.Collections/{method}", request, _COLLECTION_RESPONSE_TYPES[method], seconds, repeatable
        )

    def snapshot(self, collection: str) -> str | None:
        """Create a snapshot and return its name, or None if the engine does not support snapshots."""
        request = pb.CreateSnapshotRequest(collection_name=collection).SerializeToString()
        path, response_type = "/qdrant.Snapshots/Create", pb.CreateSnapshotResponse
        try:
            response = self._breaker.call(
                self._call_with_retry, path, request, response_type, _SNAPSHOT_SECONDS, repeatable=False
            )
        except pybreaker.CircuitBreakerError:
            raise Unavailable("The vector engine is not responding. Try again later.", _OPEN_SECONDS) from None
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                return None
            raise _translate_error(error) from error
        return str(response.snapshot_description.name)

    @property
    def state(self) -> str:
        """The state of the circuit breaker: closed, open or half-open."""
        return str(self._breaker.current_state)

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
            self._calls.clear()

    def _call(self, path: str, request: bytes, response_type: Any, seconds: float, repeatable: bool) -> Any:
        try:
            return self._breaker.call(self._call_with_retry, path, request, response_type, seconds, repeatable)
        except pybreaker.CircuitBreakerError:
            raise Unavailable("The vector engine is not responding. Try again later.", _OPEN_SECONDS) from None
        except grpc.RpcError as error:
            raise _translate_error(error) from error

    def _call_with_retry(self, path: str, request: bytes, response_type: Any, seconds: float, repeatable: bool) -> Any:
        """Call the engine, with one retry if the call is repeatable: reads, and writes of points with fixed ids."""
        self._check_idle_connection()
        try:
            return self._call_once(path, request, response_type, seconds)
        except grpc.RpcError as error:
            # A call that ran into its deadline is not retried: its caller would wait twice as long.
            if not repeatable or error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            return self._call_once(path, request, response_type, seconds)

    def _call_once(self, path: str, request: bytes, response_type: Any, seconds: float) -> Any:
        unary_call = self._calls.get(path)
        if unary_call is None:
            unary_call = self._calls[path] = self._open().unary_unary(path, None, response_type.FromString)
        try:
            with tracing.span(path.rpartition(".")[2], "client", db__system="qdrant"):
                response = unary_call(request, timeout=seconds, metadata=self._metadata)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                # The node may be gone without a word. The next call connects again, to a node that answers.
                self.close()
            raise
        self._last_use = self._now()
        return response

    def _check_idle_connection(self) -> None:
        """Probe an idle connection. If it has died, this costs 0.5 s instead of a whole deadline."""
        if self._channel is None or self._now() - self._last_use < _IDLE_SECONDS:
            return
        try:
            self._call_once("/qdrant.Qdrant/HealthCheck", b"", pb.HealthCheckReply, _PROBE_SECONDS)
        except grpc.RpcError:
            self.close()

    def _open(self) -> grpc.Channel:
        if self._channel is None:
            hosts = self._address.host.split(",")
            target = ",".join(f"{host.strip()}:{self._address.port}" for host in hosts)
            if len(hosts) > 1:
                target = f"ipv4:{target}"
            if self._address.tls:
                self._channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(), _OPTIONS)
            else:
                self._channel = grpc.insecure_channel(target, _OPTIONS)
        return self._channel


class _BreakerListener(pybreaker.CircuitBreakerListener):
    def __init__(self, on_state_change: Callable[[str], None]) -> None:
        self._on_state_change = on_state_change

    def state_change(self, cb: Any, old_state: Any, new_state: Any) -> None:  # noqa: ARG002  # pybreaker's signature
        self._on_state_change(str(new_state.name))


def _engine_responded(error: BaseException) -> bool:
    """Return whether the engine responded. A rejected request must not open the circuit breaker."""
    return not isinstance(error, grpc.RpcError) or error.code() not in _TRANSIENT


def _translate_error(error: grpc.RpcError) -> DomainError:
    code = error.code()
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        # The details describe the request only. The engine puts no host names and no other points in them.
        return InvalidInput(f"The vector engine rejected the request: {str(error.details())[:300]}")
    if code is grpc.StatusCode.NOT_FOUND:
        return NotFound("The collection or point does not exist.")
    return Unavailable("The vector engine did not respond.")
