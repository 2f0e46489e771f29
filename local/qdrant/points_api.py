"""The ``Points`` service of Qdrant's protocol.

Writes are applied before the answer whether or not ``wait`` was asked for; the answer says which was.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qdrant_edge as edge

from email_sender.adapters.qdrant.wire import pb
from local.qdrant import writes
from local.qdrant.catalogue import Catalogue
from local.qdrant.collection import Collection
from local.qdrant.errors import Invalid, answers, rest_unsupported
from local.qdrant.filters import filter_of
from local.qdrant.groups import query_groups
from local.qdrant.indexes import schema_of
from local.qdrant.queries import LIMIT, Resolver, order_from
from local.qdrant.values import id_from, id_to, ids_from, retrieved, scored, with_payload, with_vectors


@rest_unsupported
class PointsApi(pb.PointsServicer):  # type: ignore[misc]  # generated code has no types
    """Points of all collections. Methods that are not here answer UNIMPLEMENTED."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    @answers
    def Upsert(self, request: pb.UpsertPoints) -> pb.PointsOperationResponse:
        return self._write(request, writes.upsert)

    @answers
    def Delete(self, request: pb.DeletePoints) -> pb.PointsOperationResponse:
        return self._write(request, writes.delete)

    @answers
    def UpdateVectors(self, request: pb.UpdatePointVectors) -> pb.PointsOperationResponse:
        return self._write(request, writes.update_vectors)

    @answers
    def DeleteVectors(self, request: pb.DeletePointVectors) -> pb.PointsOperationResponse:
        return self._write(request, writes.delete_vectors)

    @answers
    def SetPayload(self, request: pb.SetPayloadPoints) -> pb.PointsOperationResponse:
        return self._write(request, writes.set_payload)

    @answers
    def OverwritePayload(self, request: pb.SetPayloadPoints) -> pb.PointsOperationResponse:
        return self._write(request, writes.overwrite_payload)

    @answers
    def DeletePayload(self, request: pb.DeletePayloadPoints) -> pb.PointsOperationResponse:
        return self._write(request, writes.delete_payload)

    @answers
    def ClearPayload(self, request: pb.ClearPayloadPoints) -> pb.PointsOperationResponse:
        return self._write(request, writes.clear_payload)

    @answers
    def UpdateBatch(self, request: pb.UpdateBatchPoints) -> pb.UpdateBatchResponse:
        collection = self._catalogue.get(request.collection_name)
        planned = []
        for operation in request.operations:
            kind = operation.WhichOneof("operation")
            if kind not in writes.BATCHED:
                raise Invalid(f"an operation of a batch cannot be {kind}")
            planned.append(writes.BATCHED[kind](collection, getattr(operation, kind)))
        results = [_apply(collection, write, request.wait) for write in planned]
        return pb.UpdateBatchResponse(result=results)

    @answers
    def CreateFieldIndex(self, request: pb.CreateFieldIndexCollection) -> pb.PointsOperationResponse:
        collection = self._catalogue.get(request.collection_name)
        operation = collection.add_index(request.field_name, schema_of(request))
        return pb.PointsOperationResponse(result=_result(operation, request.wait))

    @answers
    def DeleteFieldIndex(self, request: pb.DeleteFieldIndexCollection) -> pb.PointsOperationResponse:
        collection = self._catalogue.get(request.collection_name)
        operation = collection.drop_index(request.field_name)
        return pb.PointsOperationResponse(result=_result(operation, request.wait))

    @answers
    def Get(self, request: pb.GetPoints) -> pb.GetResponse:
        with self._catalogue.get(request.collection_name).reading() as shard:
            records = shard.retrieve(
                ids_from(request.ids), with_payload(request.with_payload), with_vectors(request.with_vectors)
            )
        return pb.GetResponse(result=[retrieved(one) for one in records])

    @answers
    def Scroll(self, request: pb.ScrollPoints) -> pb.ScrollResponse:
        wanted = edge.ScrollRequest(
            offset=id_from(request.offset) if request.HasField("offset") else None,
            limit=request.limit if request.HasField("limit") else LIMIT,
            filter=filter_of(request),
            with_payload=with_payload(request.with_payload),
            with_vector=with_vectors(request.with_vectors),
            order_by=order_from(request.order_by) if request.HasField("order_by") else None,
        )
        with self._catalogue.get(request.collection_name).reading() as shard:
            records, following = shard.scroll(wanted)
        return pb.ScrollResponse(
            result=[retrieved(one) for one in records],
            next_page_offset=None if following is None else id_to(following),
        )

    @answers
    def Count(self, request: pb.CountPoints) -> pb.CountResponse:
        wanted = edge.CountRequest(request.exact if request.HasField("exact") else True, filter_of(request))
        with self._catalogue.get(request.collection_name).reading() as shard:
            return pb.CountResponse(result=pb.CountResult(count=shard.count(wanted)))

    @answers
    def Facet(self, request: pb.FacetCounts) -> pb.FacetResponse:
        limit = request.limit if request.HasField("limit") else LIMIT
        wanted = edge.FacetRequest(request.key, limit, request.exact, filter_of(request))
        with self._catalogue.get(request.collection_name).reading() as shard:
            found = shard.facet(wanted)
        return pb.FacetResponse(hits=[pb.FacetHit(value=_facet(hit.value), count=hit.count) for hit in found.hits])

    @answers
    def Query(self, request: pb.QueryPoints) -> pb.QueryResponse:
        collection = self._catalogue.get(request.collection_name)
        return pb.QueryResponse(result=_found(collection, [request])[0])

    @answers
    def QueryBatch(self, request: pb.QueryBatchPoints) -> pb.QueryBatchResponse:
        collection = self._catalogue.get(request.collection_name)
        found = _found(collection, request.query_points)
        return pb.QueryBatchResponse(result=[pb.BatchResult(result=hits) for hits in found])

    @answers
    def QueryGroups(self, request: pb.QueryPointGroups) -> pb.QueryGroupsResponse:
        collection = self._catalogue.get(request.collection_name)
        with collection.reading() as shard:
            groups = query_groups(shard, Resolver(shard, collection.checked), request)
        return pb.QueryGroupsResponse(result=groups)

    def _write(self, request: Any, build: Callable[[Collection, Any], writes.Write]) -> pb.PointsOperationResponse:
        collection = self._catalogue.get(request.collection_name)
        return pb.PointsOperationResponse(result=_apply(collection, build(collection, request), request.wait))


def _found(collection: Collection, requests: Any) -> list[list[pb.ScoredPoint]]:
    with collection.reading() as shard:
        resolver = Resolver(shard, collection.checked)
        asked = [
            resolver.request(one, limit=one.limit if one.HasField("limit") else LIMIT, offset=one.offset)
            for one in requests
        ]
        found = shard.query_batch(edge.QueryBatchRequest(asked))
    return [[scored(hit) for hit in hits] for hits in found]


def _apply(collection: Collection, write: writes.Write, wait: bool) -> pb.UpdateResult:
    return _result(collection.write(*write), wait)


def _result(operation: int, wait: bool) -> pb.UpdateResult:
    status = pb.UpdateStatus.Completed if wait else pb.UpdateStatus.Acknowledged
    return pb.UpdateResult(operation_id=operation, status=status)


def _facet(value: str | int | bool) -> pb.FacetValue:
    if isinstance(value, bool):
        return pb.FacetValue(bool_value=value)
    return pb.FacetValue(integer_value=value) if isinstance(value, int) else pb.FacetValue(string_value=str(value))
