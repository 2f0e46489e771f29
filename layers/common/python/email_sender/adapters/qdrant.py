"""Qdrant over gRPC. Implements vectors.ports.VectorIndex. Imported by functions/vectors alone."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from email_sender.errors import Conflict, Unavailable
from email_sender.vectors.model import ClientId, Collection, Condition, Filter, Group, Hit, Point, Search, engine_id

_TENANT = "tenant_id"
# The client's own id, since the engine's is a hash of it.
_CLIENT_ID = "_id"

_SCHEMAS: Mapping[str, models.PayloadSchemaType] = {
    "keyword": models.PayloadSchemaType.KEYWORD,
    "datetime": models.PayloadSchemaType.DATETIME,
}
_DISTANCES = {"Cosine": models.Distance.COSINE, "Euclid": models.Distance.EUCLID}


class QdrantIndex:
    """`client` is called once a call, so that a composition root decides how long a channel lives."""

    def __init__(
        self, client: Callable[[], QdrantClient], *, shards: int = 1, replicas: int = 1, write_consistency: int = 1
    ) -> None:
        self._client = client
        self._shards, self._replicas, self._write_consistency = shards, replicas, write_consistency

    def prepare(self, collection: Collection) -> bool:
        with _translated():
            client = self._client()
            made = not client.collection_exists(collection.name)
            if made:
                self._create(client, collection)
            else:
                _check_same(client, collection)
            # Before any data, and again harmlessly: an index made after the graph leaves filtered search without edges.
            client.create_payload_index(
                collection.name,
                _TENANT,
                models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True),
                wait=True,
            )
            for key, schema in collection.indexed.items():
                client.create_payload_index(collection.name, key, _SCHEMAS[schema], wait=True)
        return made

    def upsert(self, tenant_id: UUID, collection: str, points: Sequence[Point]) -> None:
        structs = [
            models.PointStruct(
                id=str(engine_id(tenant_id, collection, point.id)),
                vector=list(point.vector),
                payload={**point.payload, _CLIENT_ID: _storable(point.id), _TENANT: str(tenant_id)},
            )
            for point in points
        ]
        with _translated():
            self._repeatable(lambda client: client.upsert(collection, structs, wait=True))

    def delete(self, tenant_id: UUID, collection: str, ids: Sequence[ClientId]) -> None:
        selector = models.FilterSelector(
            filter=models.Filter(
                must=[
                    _of(tenant_id),
                    models.HasIdCondition(has_id=[str(engine_id(tenant_id, collection, each)) for each in ids]),
                ]
            )
        )
        with _translated():
            self._repeatable(lambda client: client.delete(collection, selector, wait=True))

    def has(self, tenant_id: UUID, collection: str, point_id: ClientId) -> bool:
        wanted = models.Filter(
            must=[
                _of(tenant_id),
                models.HasIdCondition(has_id=[str(engine_id(tenant_id, collection, point_id))]),
            ]
        )
        with _translated():
            return self._repeatable(lambda client: client.count(collection, wanted, exact=True)).count > 0

    def search(self, tenant_id: UUID, collection: str, search: Search) -> Sequence[Hit]:
        with _translated():
            answer = self._repeatable(
                lambda client: client.query_points(
                    collection,
                    query=list(search.vector),
                    query_filter=_filter(tenant_id, search.filter),
                    limit=search.limit,
                    score_threshold=search.score_threshold,
                    # Always: the client's own id is in it.
                    with_payload=True if search.with_payload else [_CLIENT_ID],
                    with_vectors=search.with_vector,
                    search_params=_params(search),
                )
            )
        return [_hit(each, search) for each in answer.points]

    def search_groups(self, tenant_id: UUID, collection: str, search: Search) -> Sequence[Group]:
        assert search.group_by is not None  # noqa: S101  # the service's choice of method
        group_by = search.group_by
        with _translated():
            answer = self._repeatable(
                lambda client: client.query_points_groups(
                    collection,
                    query=list(search.vector),
                    query_filter=_filter(tenant_id, search.filter),
                    group_by=group_by,
                    limit=search.limit,
                    group_size=search.group_size,
                    score_threshold=search.score_threshold,
                    with_payload=True if search.with_payload else [_CLIENT_ID],
                    with_vectors=search.with_vector,
                    search_params=_params(search),
                )
            )
        return [
            Group(group.id, group.hits[0].score, [_hit(each, search) for each in group.hits])
            for group in answer.groups
            if group.hits
        ]

    def count(self, tenant_id: UUID, collection: str) -> int:
        with _translated():
            wanted = models.Filter(must=[_of(tenant_id)])
            return self._repeatable(lambda client: client.count(collection, wanted, exact=True)).count

    def _create(self, client: QdrantClient, collection: Collection) -> None:
        quantization = models.ScalarQuantization(
            scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, quantile=0.99, always_ram=True)
        )
        try:
            client.create_collection(
                collection.name,
                vectors_config=models.VectorParams(
                    size=collection.size, distance=_DISTANCES[collection.distance], on_disk=True
                ),
                quantization_config=quantization if collection.quantized else None,
                optimizers_config=models.OptimizersConfigDiff(default_segment_number=collection.segments),
                on_disk_payload=True,
                shard_number=self._shards,
                replication_factor=self._replicas,
                write_consistency_factor=self._write_consistency,
                strict_mode_config=models.StrictModeConfig(enabled=True, max_query_limit=1_000),
                metadata={"model": collection.model} if collection.model else None,
            )
        except Exception as error:
            # Another deployment made it between the question and the order.
            if not client.collection_exists(collection.name):
                raise error from None

    def _repeatable[T](self, call: Callable[[QdrantClient], T]) -> T:
        """One retry of what may be done twice: reads, and writes with ids of our own choosing."""
        try:
            return call(self._client())
        except Exception as error:
            if not _is_transient(error):
                raise
            return call(self._client())


def _check_same(client: QdrantClient, collection: Collection) -> None:
    config = client.get_collection(collection.name).config
    vectors = config.params.vectors
    if not isinstance(vectors, models.VectorParams):
        raise Conflict(f"The collection {collection.name} has named vectors: it is not one of ours.")
    if vectors.size != collection.size or vectors.distance != _DISTANCES[collection.distance]:
        raise Conflict(
            f"The collection {collection.name} holds vectors of {vectors.size} by {vectors.distance}; "
            f"{collection.size} by {collection.distance} are configured."
        )
    stored = (config.metadata or {}).get("model")
    if collection.model is not None and stored is not None and stored != collection.model:
        raise Conflict(f"The collection {collection.name} was embedded by {stored}, not by {collection.model}.")


def _storable(client_id: ClientId) -> int | str:
    # Qdrant's integers are signed 64-bit; a larger unsigned one is kept as text.
    return client_id if isinstance(client_id, int) and client_id < 2**63 else f"{type(client_id).__name__}:{client_id}"


def _client_id(stored: int | str) -> ClientId:
    if isinstance(stored, int):
        return stored
    kind, _, text = stored.partition(":")
    return int(text) if kind == "int" else UUID(text)


def _of(tenant_id: UUID) -> models.FieldCondition:
    return models.FieldCondition(key=_TENANT, match=models.MatchValue(value=str(tenant_id)))


def _filter(tenant_id: UUID, chosen: Filter) -> models.Filter:
    """The tenant's condition stands outside what the client expressed: nothing inside can widen it."""
    conditions: list[models.Condition] = [_of(tenant_id)]
    if chosen.must or chosen.should or chosen.must_not:
        conditions.append(
            models.Filter(
                must=[_condition(each) for each in chosen.must] or None,
                should=[_condition(each) for each in chosen.should] or None,
                must_not=[_condition(each) for each in chosen.must_not] or None,
            )
        )
    return models.Filter(must=conditions)


def _condition(condition: Condition) -> models.Condition:
    if condition.any_of is not None:
        return _match(condition.key, condition.any_of)
    if condition.exists is not None:
        empty = models.IsEmptyCondition(is_empty=models.PayloadField(key=condition.key))
        return models.Filter(must_not=[empty]) if condition.exists else empty
    bounds = {name: getattr(condition, name) for name in ("gt", "gte", "lt", "lte")}
    if any(isinstance(bound, datetime) for bound in bounds.values()):
        return models.FieldCondition(key=condition.key, range=models.DatetimeRange(**bounds))
    return models.FieldCondition(key=condition.key, range=models.Range(**bounds))


def _match(key: str, values: Sequence[str | int | bool]) -> models.Condition:
    if len(values) == 1:
        return models.FieldCondition(key=key, match=models.MatchValue(value=values[0]))
    # The engine's "any" takes one type and no booleans; one condition a value takes all.
    return models.Filter(
        should=[models.FieldCondition(key=key, match=models.MatchValue(value=value)) for value in values]
    )


def _params(search: Search) -> models.SearchParams:
    return models.SearchParams(
        exact=search.exact,
        hnsw_ef=search.hnsw_ef,
        quantization=models.QuantizationSearchParams(rescore=True, oversampling=2.0),
    )


def _hit(point: models.ScoredPoint, search: Search) -> Hit:
    payload: dict[str, Any] = dict(point.payload or {})
    client_id = _client_id(payload.pop(_CLIENT_ID))
    payload.pop(_TENANT, None)
    vector = point.vector if isinstance(point.vector, list) else None
    return Hit(client_id, point.score, payload if search.with_payload else {}, vector)  # type: ignore[arg-type]  # dense


def _is_transient(error: Exception) -> bool:
    import grpc

    return isinstance(error, grpc.RpcError) and error.code() in (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    )


@contextmanager
def _translated() -> Iterator[None]:
    import grpc

    try:
        yield
    except (grpc.RpcError, UnexpectedResponse, ConnectionError) as error:
        raise Unavailable("The vector engine did not answer.") from error
