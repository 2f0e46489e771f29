"""Points and searches of one tenant in Qdrant.

Implements CollectionCreator, PointWriter, PointReader and PointSearch of vectors.ports.
"""

from array import array
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, assert_never
from uuid import UUID

from email_sender.adapters.qdrant import collection_settings as collection_settings
from email_sender.adapters.qdrant import packing, queries
from email_sender.adapters.qdrant.channel import Channel
from email_sender.adapters.qdrant.collection_settings import Placement
from email_sender.adapters.qdrant.collections import prepare
from email_sender.adapters.qdrant.filters import TENANT, tenant_filter
from email_sender.adapters.qdrant.ids import CLIENT_ID, decode_client_id, encode_client_id
from email_sender.adapters.qdrant.wire import pb
from email_sender.vectors.collection_settings import SettingChange
from email_sender.vectors.model import (
    ClientId,
    Collection,
    Delete,
    DeletePayload,
    Group,
    Hit,
    Point,
    PointSelector,
    Search,
    SetPayload,
    Upsert,
    Write,
    engine_id,
)


class QdrantIndex:
    """`channel` is called for each request, so the composition root decides how long a channel lives.

    `stored_as` returns the engine's collection behind a name.
    """

    def __init__(
        self,
        channel: Callable[[], Channel],
        placement: Placement = Placement(),  # noqa: B008  # frozen
        stored_as: Callable[[str], str] = str,
    ) -> None:
        self._channel, self._placement, self._stored_as = channel, placement, stored_as

    def prepare(self, collection: Collection) -> bool:
        return prepare(self._channel(), collection, self._placement)

    def plan_changes(self, collection: Collection) -> Sequence[SettingChange]:
        return collection_settings.plan_changes(self._channel(), collection, self._placement)

    def apply_changes(self, collection: Collection, changes: Sequence[SettingChange]) -> None:
        collection_settings.apply_changes(self._channel(), collection, changes)

    def upsert(self, tenant_id: UUID, collection: str, points: Sequence[Point]) -> None:
        # Packed lazily: a list of packed points would hold every vector a third time.
        request = packing.pack_upsert(
            self._stored_as(collection), (_pack_point(tenant_id, collection, point) for point in points)
        )
        self._channel().points("Upsert", request)

    def write(self, tenant_id: UUID, collection: str, writes: Sequence[Write]) -> None:
        operations = [_update_operation(tenant_id, collection, write) for write in writes]
        request = pb.UpdateBatchPoints(collection_name=self._stored_as(collection), wait=True, operations=operations)
        self._channel().points("UpdateBatch", request.SerializeToString())

    def delete(self, tenant_id: UUID, collection: str, ids: Sequence[ClientId]) -> None:
        selector = _points_selector(tenant_id, collection, PointSelector(ids=ids))
        request = pb.DeletePoints(collection_name=self._stored_as(collection), wait=True, points=selector)
        self._channel().points("Delete", request.SerializeToString())

    def has(self, tenant_id: UUID, collection: str, point_id: ClientId) -> bool:
        return self.count(tenant_id, collection, PointSelector(ids=[point_id])) > 0

    def count(self, tenant_id: UUID, collection: str, selector: PointSelector | None = None) -> int:
        point_filter = (
            tenant_filter(tenant_id) if selector is None else _selector_filter(tenant_id, collection, selector)
        )
        request = pb.CountPoints(collection_name=self._stored_as(collection), filter=point_filter, exact=True)
        return int(self._channel().points("Count", request.SerializeToString()).result.count)

    def search(self, tenant_id: UUID, collection: str, search: Search) -> Sequence[Hit]:
        request = queries.points_query(tenant_id, collection, self._stored_as(collection), search, _payload(search))
        response = self._channel().points("Query", request.SerializeToString())
        return [_hit(point, search) for point in response.result]

    def search_many(self, tenant_id: UUID, collection: str, searches: Sequence[Search]) -> Sequence[Sequence[Hit]]:
        stored_as = self._stored_as(collection)
        query_points = [
            queries.points_query(tenant_id, collection, stored_as, search, _payload(search)) for search in searches
        ]
        request = pb.QueryBatchPoints(collection_name=stored_as, query_points=query_points)
        response = self._channel().points("QueryBatch", request.SerializeToString())
        return [
            [_hit(point, search) for point in batch_result.result]
            for batch_result, search in zip(response.result, searches, strict=True)
        ]

    def search_groups(self, tenant_id: UUID, collection: str, search: Search) -> Sequence[Group]:
        request = queries.groups_query(tenant_id, collection, self._stored_as(collection), search, _payload(search))
        response = self._channel().points("QueryGroups", request.SerializeToString())
        return [
            Group(_group_key(group.id), group.hits[0].score, [_hit(point, search) for point in group.hits])
            for group in response.result.groups
            if group.hits
        ]


def _pack_point(tenant_id: UUID, collection: str, point: Point) -> bytes:
    payload = {**point.payload, CLIENT_ID: encode_client_id(point.id), TENANT: _uuid_text(tenant_id)}
    terms = None if point.terms is None else queries.sparse_vector(point.terms)
    return packing.pack_point(str(engine_id(tenant_id, collection, point.id)), point.vector, payload, terms)


@lru_cache(64)
def _uuid_text(tenant_id: UUID) -> str:
    return str(tenant_id)


def _update_operation(tenant_id: UUID, collection: str, write: Write) -> Any:
    operation = pb.PointsUpdateOperation
    match write:
        case Upsert(points):
            structs = [pb.PointStruct.FromString(_pack_point(tenant_id, collection, point)) for point in points]
            return operation(upsert=operation.PointStructList(points=structs))
        case Delete(point_selector):
            return operation(
                delete_points=operation.DeletePoints(points=_points_selector(tenant_id, collection, point_selector))
            )
        case SetPayload(point_selector, payload):
            selector = _points_selector(tenant_id, collection, point_selector)
            return operation(
                set_payload=operation.SetPayload(payload=packing.pack_payload(payload), points_selector=selector)
            )
        case DeletePayload(point_selector, keys):
            selector = _points_selector(tenant_id, collection, point_selector)
            return operation(delete_payload=operation.DeletePayload(keys=keys, points_selector=selector))
        case _:
            assert_never(write)


def _points_selector(tenant_id: UUID, collection: str, point_selector: PointSelector) -> Any:
    """Return a pb.PointsSelector. It selects by filter even for ids, so that the tenant's condition always applies."""
    return pb.PointsSelector(filter=_selector_filter(tenant_id, collection, point_selector))


def _selector_filter(tenant_id: UUID, collection: str, selector: PointSelector) -> Any:
    if selector.ids is not None:
        return tenant_filter(
            tenant_id, ids=[str(engine_id(tenant_id, collection, client_id)) for client_id in selector.ids]
        )
    if selector.filter is not None:
        return tenant_filter(tenant_id, selector.filter)
    raise ValueError("A point selector needs ids or a filter. Without either it would select all points.")


def _payload(search: Search) -> Any:
    """Return the pb.WithPayloadSelector. The client's own id is always included."""
    if search.with_payload:
        return pb.WithPayloadSelector(enable=True)
    return pb.WithPayloadSelector(include=pb.PayloadIncludeSelector(fields=[CLIENT_ID]))


def _hit(point: Any, search: Search) -> Hit:
    payload = packing.unpack_payload(point.payload)
    client_id = decode_client_id(payload.pop(CLIENT_ID))
    payload.pop(TENANT, None)
    return Hit(client_id, point.score, payload if search.with_payload else {}, _vector(point.vectors, search))


def _vector(vectors: Any, search: Search) -> array[float] | None:
    if not search.with_vector:
        return None
    if vectors.WhichOneof("vectors_options") == "vector":
        return packing.unpack_dense(vectors.vector)
    named_vectors: Mapping[str, Any] = vectors.vectors.vectors
    return packing.unpack_dense(named_vectors[""])


def _group_key(key: Any) -> str | int:
    kind = key.WhichOneof("kind")
    return str(key.string_value) if kind == "string_value" else int(getattr(key, kind))
