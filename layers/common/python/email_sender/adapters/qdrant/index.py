"""Points and searches of one tenant. Implements vectors.ports.VectorIndex."""

from array import array
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, assert_never
from uuid import UUID

from email_sender.adapters.qdrant import packing, queries
from email_sender.adapters.qdrant import settings as collection_settings
from email_sender.adapters.qdrant.channel import Channel
from email_sender.adapters.qdrant.collections import prepare
from email_sender.adapters.qdrant.filters import TENANT, of_tenant
from email_sender.adapters.qdrant.ids import CLIENT_ID, client_id_of, storable
from email_sender.adapters.qdrant.settings import Placement
from email_sender.adapters.qdrant.wire import pb
from email_sender.vectors.model import (
    Chosen,
    ClientId,
    Collection,
    Delete,
    DeletePayload,
    Group,
    Hit,
    Point,
    Search,
    SetPayload,
    Upsert,
    Write,
    engine_id,
)
from email_sender.vectors.settings import Change


class QdrantIndex:
    """`channel` is called once a call, so that a composition root decides how long a channel lives.

    `stored_as` gives the engine's collection behind a name.
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

    def changes(self, collection: Collection) -> Sequence[Change]:
        return collection_settings.changes(self._channel(), collection, self._placement)

    def change(self, collection: Collection, chosen: Sequence[Change]) -> None:
        collection_settings.change(self._channel(), collection, chosen)

    def upsert(self, tenant_id: UUID, collection: str, points: Sequence[Point]) -> None:
        # Packed as they are sent: a list of the structs would hold every vector a third time.
        request = packing.upsert(self._stored_as(collection), (_packed(tenant_id, collection, each) for each in points))
        self._channel().points("Upsert", request)

    def write(self, tenant_id: UUID, collection: str, writes: Sequence[Write]) -> None:
        operations = [_operation(tenant_id, collection, each) for each in writes]
        request = pb.UpdateBatchPoints(collection_name=self._stored_as(collection), wait=True, operations=operations)
        self._channel().points("UpdateBatch", request.SerializeToString())

    def delete(self, tenant_id: UUID, collection: str, ids: Sequence[ClientId]) -> None:
        selector = _selector(tenant_id, collection, Chosen(ids=ids))
        request = pb.DeletePoints(collection_name=self._stored_as(collection), wait=True, points=selector)
        self._channel().points("Delete", request.SerializeToString())

    def has(self, tenant_id: UUID, collection: str, point_id: ClientId) -> bool:
        return self.count(tenant_id, collection, Chosen(ids=[point_id])) > 0

    def count(self, tenant_id: UUID, collection: str, chosen: Chosen | None = None) -> int:
        wanted = of_tenant(tenant_id) if chosen is None else _filter(tenant_id, collection, chosen)
        request = pb.CountPoints(collection_name=self._stored_as(collection), filter=wanted, exact=True)
        return int(self._channel().points("Count", request.SerializeToString()).result.count)

    def search(self, tenant_id: UUID, collection: str, search: Search) -> Sequence[Hit]:
        request = queries.points(tenant_id, collection, self._stored_as(collection), search, _payload(search))
        answer = self._channel().points("Query", request.SerializeToString())
        return [_hit(each, search) for each in answer.result]

    def search_many(self, tenant_id: UUID, collection: str, searches: Sequence[Search]) -> Sequence[Sequence[Hit]]:
        stored_as = self._stored_as(collection)
        asked = [queries.points(tenant_id, collection, stored_as, each, _payload(each)) for each in searches]
        request = pb.QueryBatchPoints(collection_name=stored_as, query_points=asked)
        answer = self._channel().points("QueryBatch", request.SerializeToString())
        return [
            [_hit(each, search) for each in found.result] for found, search in zip(answer.result, searches, strict=True)
        ]

    def search_groups(self, tenant_id: UUID, collection: str, search: Search) -> Sequence[Group]:
        request = queries.groups(tenant_id, collection, self._stored_as(collection), search, _payload(search))
        answer = self._channel().points("QueryGroups", request.SerializeToString())
        return [
            Group(_group_key(group.id), group.hits[0].score, [_hit(each, search) for each in group.hits])
            for group in answer.result.groups
            if group.hits
        ]


def _packed(tenant_id: UUID, collection: str, point: Point) -> bytes:
    payload = {**point.payload, CLIENT_ID: storable(point.id), TENANT: _text(tenant_id)}
    terms = None if point.terms is None else queries.sparse(point.terms)
    return packing.point(str(engine_id(tenant_id, collection, point.id)), point.vector, payload, terms)


@lru_cache(64)
def _text(tenant_id: UUID) -> str:
    return str(tenant_id)


def _operation(tenant_id: UUID, collection: str, write: Write) -> Any:
    operation = pb.PointsUpdateOperation
    match write:
        case Upsert(points):
            structs = [pb.PointStruct.FromString(_packed(tenant_id, collection, each)) for each in points]
            return operation(upsert=operation.PointStructList(points=structs))
        case Delete(chosen):
            return operation(delete_points=operation.DeletePoints(points=_selector(tenant_id, collection, chosen)))
        case SetPayload(chosen, payload):
            selector = _selector(tenant_id, collection, chosen)
            return operation(
                set_payload=operation.SetPayload(payload=packing.payload_to(payload), points_selector=selector)
            )
        case DeletePayload(chosen, keys):
            selector = _selector(tenant_id, collection, chosen)
            return operation(delete_payload=operation.DeletePayload(keys=keys, points_selector=selector))
        case _:
            assert_never(write)


def _selector(tenant_id: UUID, collection: str, chosen: Chosen) -> Any:
    """By filter even where ids are given: the tenant's condition holds for them too."""
    return pb.PointsSelector(filter=_filter(tenant_id, collection, chosen))


def _filter(tenant_id: UUID, collection: str, chosen: Chosen) -> Any:
    if chosen.ids is not None:
        return of_tenant(tenant_id, ids=[str(engine_id(tenant_id, collection, each)) for each in chosen.ids])
    if chosen.filter is not None:
        return of_tenant(tenant_id, chosen.filter)
    raise ValueError("neither ids nor a filter: that would be every point")


def _payload(search: Search) -> Any:
    """The client's own id is in it, always."""
    if search.with_payload:
        return pb.WithPayloadSelector(enable=True)
    return pb.WithPayloadSelector(include=pb.PayloadIncludeSelector(fields=[CLIENT_ID]))


def _hit(point: Any, search: Search) -> Hit:
    payload = packing.payload_from(point.payload)
    client_id = client_id_of(payload.pop(CLIENT_ID))
    payload.pop(TENANT, None)
    return Hit(client_id, point.score, payload if search.with_payload else {}, _vector(point.vectors, search))


def _vector(vectors: Any, search: Search) -> array[float] | None:
    if not search.with_vector:
        return None
    if vectors.WhichOneof("vectors_options") == "vector":
        return packing.unpacked(vectors.vector)
    named: Mapping[str, Any] = vectors.vectors.vectors
    return packing.unpacked(named[""])


def _group_key(key: Any) -> str | int:
    kind = key.WhichOneof("kind")
    return str(key.string_value) if kind == "string_value" else int(getattr(key, kind))
