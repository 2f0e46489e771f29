"""The ``Points`` service of Qdrant's protocol.

Writes are always applied before the response. Without ``wait`` the response still reports only an acknowledgement.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qdrant_edge as edge

from email_sender.adapters.qdrant.wire import pb
from local.qdrant import writes
from local.qdrant.catalogue import Catalogue
from local.qdrant.collection import Collection
from local.qdrant.errors import InvalidArgument, grpc_method, unimplemented_by_default
from local.qdrant.filters import filter_of
from local.qdrant.groups import query_groups
from local.qdrant.indexes import schema_of
from local.qdrant.queries import LIMIT, Resolver, order_from
from local.qdrant.values import id_from, id_to, ids_from, retrieved_point, scored_point, with_payload, with_vectors


@unimplemented_by_default
class PointsApi(pb.PointsServicer):  # type: ignore[misc]  # generated code has no types
    """Points of all collections. Missing methods return UNIMPLEMENTED."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    @grpc_method
    def Upsert(self, request: pb.UpsertPoints) -> pb.PointsOperationResponse:
        return self._write(request, writes.upsert)

    @grpc_method
    def Delete(self, request: pb.DeletePoints) -> pb.PointsOperationResponse:
        return self._write(request, writes.delete)

    @grpc_method
    def UpdateVectors(self, request: pb.UpdatePointVectors) -> pb.PointsOperationResponse:
        return self._write(request, writes.update_vectors)

    @grpc_method
    def DeleteVectors(self, request: pb.DeletePointVectors) -> pb.PointsOperationResponse:
        return self._write(request, writes.delete_vectors)

    @grpc_method
    def SetPayload(self, request: pb.SetPayloadPoints) -> pb.PointsOperationResponse:
        return self._write(request, writes.set_payload)

    @grpc_method
    def OverwritePayload(self, request: pb.SetPayloadPoints) -> pb.PointsOperationResponse:
        return self._write(request, writes.overwrite_payload)

    @grpc_method
    def DeletePayload(self, request: pb.DeletePayloadPoints) -> pb.PointsOperationResponse:
        return self._write(request, writes.delete_payload)

    @grpc_method
    def ClearPayload(self, request: pb.ClearPayloadPoints) -> pb.PointsOperationResponse:
        return self._write(request, writes.clear_payload)

    @grpc_method
    def UpdateBatch(self, request: pb.UpdateBatchPoints) -> pb.UpdateBatchResponse:
        collection = self._catalogue.get(request.collection_name)
        batch_writes = []
        for operation in request.operations:
            kind = operation.WhichOneof("operation")
            if kind not in writes.BATCH_OPERATIONS:
                raise InvalidArgument(f"A batch cannot contain the operation {kind}")
            batch_writes.append(writes.BATCH_OPERATIONS[kind](collection, getattr(operation, kind)))
        results = [_apply(collection, write, request.wait) for write in batch_writes]
        return pb.UpdateBatchResponse(result=results)

    @grpc_method
    def CreateFieldIndex(self, request: pb.CreateFieldIndexCollection) -> pb.PointsOperationResponse:
        collection = self._catalogue.get(request.collection_name)
        operation = collection.add_index(request.field_name, schema_of(request))
        return pb.PointsOperationResponse(result=_result(operation, request.wait))

    @grpc_method
    def DeleteFieldIndex(self, request: pb.DeleteFieldIndexCollection) -> pb.PointsOperationResponse:
        collection = self._catalogue.get(request.collection_name)
        operation = collection.drop_index(request.field_name)
        return pb.PointsOperationResponse(result=_result(operation, request.wait))

    @grpc_method
    def Get(self, request: pb.GetPoints) -> pb.GetResponse:
        with self._catalogue.get(request.collection_name).reading() as shard:
            records = shard.retrieve(
                ids_from(request.ids), with_payload(request.with_payload), with_vectors(request.with_vectors)
            )
        return pb.GetResponse(result=[retrieved_point(record) for record in records])

    @grpc_method
    def Scroll(self, request: pb.ScrollPoints) -> pb.ScrollResponse:
        scroll_request = edge.ScrollRequest(
            offset=id_from(request.offset) if request.HasField("offset") else None,
            limit=request.limit if request.HasField("limit") else LIMIT,
            filter=filter_of(request),
            with_payload=with_payload(request.with_payload),
            with_vector=with_vectors(request.with_vectors),
            order_by=order_from(request.order_by) if request.HasField("order_by") else None,
        )
        with self._catalogue.get(request.collection_name).reading() as shard:
            records, next_id = shard.scroll(scroll_request)
        return pb.ScrollResponse(
            result=[retrieved_point(record) for record in records],
            next_page_offset=None if next_id is None else id_to(next_id),
        )

    @grpc_method
    def Count(self, request: pb.CountPoints) -> pb.CountResponse:
        count_request = edge.CountRequest(request.exact if request.HasField("exact") else True, filter_of(request))
        with self._catalogue.get(request.collection_name).reading() as shard:
            return pb.CountResponse(result=pb.CountResult(count=shard.count(count_request)))

    @grpc_method
    def Facet(self, request: pb.FacetCounts) -> pb.FacetResponse:
        limit = request.limit if request.HasField("limit") else LIMIT
        facet_request = edge.FacetRequest(request.key, limit, request.exact, filter_of(request))
        with self._catalogue.get(request.collection_name).reading() as shard:
            response = shard.facet(facet_request)
        return pb.FacetResponse(
            hits=[pb.FacetHit(value=_facet_value(hit.value), count=hit.count) for hit in response.hits]
        )

    @grpc_method
    def Query(self, request: pb.QueryPoints) -> pb.QueryResponse:
        collection = self._catalogue.get(request.collection_name)
        return pb.QueryResponse(result=_run_queries(collection, [request])[0])

    @grpc_method
    def QueryBatch(self, request: pb.QueryBatchPoints) -> pb.QueryBatchResponse:
        collection = self._catalogue.get(request.collection_name)
        results = _run_queries(collection, request.query_points)
        return pb.QueryBatchResponse(result=[pb.BatchResult(result=hits) for hits in results])

    @grpc_method
    def QueryGroups(self, request: pb.QueryPointGroups) -> pb.QueryGroupsResponse:
        collection = self._catalogue.get(request.collection_name)
        with collection.reading() as shard:
            groups = query_groups(shard, Resolver(shard, collection.check_vectors), request)
        return pb.QueryGroupsResponse(result=groups)

    def _write(self, request: Any, build: Callable[[Collection, Any], writes.Write]) -> pb.PointsOperationResponse:
        collection = self._catalogue.get(request.collection_name)
        return pb.PointsOperationResponse(result=_apply(collection, build(collection, request), request.wait))


def _run_queries(collection: Collection, requests: Any) -> list[list[pb.ScoredPoint]]:
    with collection.reading() as shard:
        resolver = Resolver(shard, collection.check_vectors)
        engine_requests = [
            resolver.request(
                request, limit=request.limit if request.HasField("limit") else LIMIT, offset=request.offset
            )
            for request in requests
        ]
        results = shard.query_batch(edge.QueryBatchRequest(engine_requests))
    return [[scored_point(hit) for hit in hits] for hits in results]


def _apply(collection: Collection, write: writes.Write, wait: bool) -> pb.UpdateResult:
    return _result(collection.write(*write), wait)


def _result(operation: int, wait: bool) -> pb.UpdateResult:
    status = pb.UpdateStatus.Completed if wait else pb.UpdateStatus.Acknowledged
    return pb.UpdateResult(operation_id=operation, status=status)


def _facet_value(value: str | int | bool) -> pb.FacetValue:
    if isinstance(value, bool):
        return pb.FacetValue(bool_value=value)
    return pb.FacetValue(integer_value=value) if isinstance(value, int) else pb.FacetValue(string_value=str(value))
