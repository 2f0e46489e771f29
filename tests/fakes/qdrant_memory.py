"""The in-memory mode of the Qdrant client library, behind the methods of our channel.

The library contains its own second implementation of Qdrant's semantics: exact search in plain Python. Requests arrive
as the bytes that would go over the wire, so generated protobuf code reads here what our own code has packed.
"""

from collections.abc import Callable, Mapping
from typing import Any

from qdrant_client import QdrantClient, models
from qdrant_client import grpc as pb
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc

from email_sender.errors import InvalidInput, NotFound


class MemoryChannel:
    """A replacement for adapters.qdrant.channel.Channel."""

    def __init__(self) -> None:
        self._client = QdrantClient(":memory:")
        self._aliases: dict[str, str] = {}
        self._configs: dict[str, Any] = {}

    state = "closed"
    snapshots = False

    def points(self, method: str, request: bytes, **_: Any) -> Any:
        return self._respond(_POINTS[method], request)

    def collections(self, method: str, request: bytes, **_: Any) -> Any:
        return self._respond(_COLLECTIONS[method], request)

    def close(self) -> None:
        self._client.close()

    def _respond(self, call: tuple[Any, Callable[["MemoryChannel", Any], Any]], request: bytes) -> Any:
        request_type, handle = call
        try:
            return handle(self, request_type.FromString(request))
        except ValueError as error:
            if "not found" in str(error).lower():
                raise NotFound(str(error)) from error
            raise InvalidInput(str(error)) from error

    def _name(self, name: str) -> str:
        return self._aliases.get(name, name)

    def exists(self, request: Any) -> Any:
        is_present = self._client.collection_exists(self._name(request.collection_name))
        return pb.CollectionExistsResponse(result=pb.CollectionExists(exists=is_present))

    def create(self, request: Any) -> Any:
        params = request.vectors_config.params
        self._client.create_collection(
            request.collection_name,
            vectors_config=GrpcToRest.convert_vector_params(params),
            sparse_vectors_config={
                name: models.SparseVectorParams(modifier=models.Modifier.IDF)
                for name in request.sparse_vectors_config.map
            },
        )
        config = pb.CollectionConfig(
            params=pb.CollectionParams(
                vectors_config=request.vectors_config,
                sparse_vectors_config=request.sparse_vectors_config,
                shard_number=request.shard_number,
                replication_factor=request.replication_factor,
                write_consistency_factor=request.write_consistency_factor,
            ),
            optimizer_config=request.optimizers_config,
            metadata=request.metadata,
        )
        if request.HasField("quantization_config"):
            config.quantization_config.CopyFrom(request.quantization_config)
        self._configs[request.collection_name] = config
        return pb.CollectionOperationResponse(result=True)

    def get(self, request: Any) -> Any:
        config = self._configs[self._name(request.collection_name)]
        return pb.GetCollectionInfoResponse(result=pb.CollectionInfo(config=config))

    def update(self, request: Any) -> Any:
        """Store only the given parts of the configuration; nothing in memory depends on them."""
        config = self._configs[request.collection_name]
        config.optimizer_config.MergeFrom(request.optimizers_config)
        for name in ("replication_factor", "write_consistency_factor"):
            if request.params.HasField(name):
                setattr(config.params, name, getattr(request.params, name))
        if request.vectors_config.params.HasField("on_disk"):
            config.params.vectors_config.params.on_disk = request.vectors_config.params.on_disk
        if request.HasField("quantization_config"):
            config.ClearField("quantization_config")
            if request.quantization_config.HasField("scalar"):
                config.quantization_config.scalar.CopyFrom(request.quantization_config.scalar)
        return pb.CollectionOperationResponse(result=True)

    def list_aliases(self, _request: Any) -> Any:
        aliases = [
            pb.AliasDescription(alias_name=name, collection_name=collection)
            for name, collection in self._aliases.items()
        ]
        return pb.ListAliasesResponse(aliases=aliases)

    def update_aliases(self, request: Any) -> Any:
        for action in request.actions:
            if action.HasField("delete_alias"):
                del self._aliases[action.delete_alias.alias_name]
            else:
                self._aliases[action.create_alias.alias_name] = action.create_alias.collection_name
        return pb.CollectionOperationResponse(result=True)

    def drop(self, request: Any) -> Any:
        self._client.delete_collection(request.collection_name)
        return pb.CollectionOperationResponse(result=True)

    def snapshot(self, collection: str) -> str | None:
        return f"{collection}.snapshot" if self.snapshots else None

    def scroll(self, request: Any) -> Any:
        records, next_id = self._client.scroll(
            self._name(request.collection_name),
            scroll_filter=GrpcToRest.convert_filter(request.filter),
            limit=request.limit,
            offset=GrpcToRest.convert_point_id(request.offset) if request.HasField("offset") else None,
            with_payload=request.with_payload.enable,
            with_vectors=request.with_vectors.enable,
        )
        return pb.ScrollResponse(
            result=[_retrieved(record) for record in records],
            next_page_offset=None if next_id is None else RestToGrpc.convert_extended_point_id(next_id),
        )

    def retrieve(self, request: Any) -> Any:
        records = self._client.retrieve(
            self._name(request.collection_name),
            [GrpcToRest.convert_point_id(point_id) for point_id in request.ids],
            with_payload=request.with_payload.enable,
            with_vectors=request.with_vectors.enable,
        )
        return pb.GetResponse(result=[_retrieved(record) for record in records])

    def upsert(self, request: Any) -> Any:
        points = [GrpcToRest.convert_point_struct(point) for point in request.points]
        self._client.upsert(self._name(request.collection_name), points)
        return pb.PointsOperationResponse()

    def delete(self, request: Any) -> Any:
        selector: Any = models.FilterSelector(filter=GrpcToRest.convert_filter(request.points.filter))
        if request.points.HasField("points"):
            selector = [GrpcToRest.convert_point_id(point_id) for point_id in request.points.points.ids]
        self._client.delete(self._name(request.collection_name), selector)
        return pb.PointsOperationResponse()

    def update_batch(self, request: Any) -> Any:
        name = self._name(request.collection_name)
        for operation in request.operations:
            kind = operation.WhichOneof("operation")
            body = getattr(operation, kind)
            if kind == "upsert":
                self.upsert(pb.UpsertPoints(collection_name=name, points=body.points))
            elif kind == "delete_points":
                self.delete(pb.DeletePoints(collection_name=name, points=body.points))
            elif kind == "set_payload":
                payload = GrpcToRest.convert_payload(body.payload)
                self._client.set_payload(name, payload, _selector_of(body))
            else:
                self._client.delete_payload(name, list(body.keys), _selector_of(body))
        return pb.UpdateBatchResponse()

    def count(self, request: Any) -> Any:
        result = self._client.count(
            self._name(request.collection_name), GrpcToRest.convert_filter(request.filter), exact=True
        )
        return pb.CountResponse(result=pb.CountResult(count=result.count))

    def query(self, request: Any) -> Any:
        response = self._client.query_points(**self._query_arguments(request), limit=request.limit)
        return pb.QueryResponse(
            result=[RestToGrpc.convert_scored_point(scored_point) for scored_point in response.points]
        )

    def query_batch(self, request: Any) -> Any:
        responses = [self.query(query) for query in request.query_points]
        return pb.QueryBatchResponse(result=[pb.BatchResult(result=response.result) for response in responses])

    def query_groups(self, request: Any) -> Any:
        response = self._client.query_points_groups(
            **self._query_arguments(request),
            limit=request.limit,
            group_by=request.group_by,
            group_size=request.group_size,
        )
        groups = [RestToGrpc.convert_point_group(group) for group in response.groups]
        return pb.QueryGroupsResponse(result=pb.GroupsResult(groups=groups))

    def _query_arguments(self, request: Any) -> Mapping[str, Any]:
        return {
            "collection_name": self._name(request.collection_name),
            "query": GrpcToRest.convert_query(request.query),
            "prefetch": [GrpcToRest.convert_prefetch_query(prefetch) for prefetch in request.prefetch] or None,
            "query_filter": GrpcToRest.convert_filter(request.filter),
            "with_payload": GrpcToRest.convert_with_payload_selector(request.with_payload),
            "with_vectors": request.with_vectors.enable,
            "score_threshold": request.score_threshold if request.HasField("score_threshold") else None,
        }


def _selector_of(body: Any) -> models.FilterSelector:
    return models.FilterSelector(filter=GrpcToRest.convert_filter(body.points_selector.filter))


def _retrieved(record: models.Record) -> Any:
    # The library's own conversion rejects a record without a payload.
    record.payload = record.payload or {}
    return RestToGrpc.convert_record(record)


def _nothing(_channel: MemoryChannel, _request: Any) -> Any:
    """Indexes have no effect in memory."""
    return pb.PointsOperationResponse()


_POINTS: Mapping[str, tuple[Any, Callable[[MemoryChannel, Any], Any]]] = {
    "Upsert": (pb.UpsertPoints, MemoryChannel.upsert),
    "Delete": (pb.DeletePoints, MemoryChannel.delete),
    "UpdateBatch": (pb.UpdateBatchPoints, MemoryChannel.update_batch),
    "CreateFieldIndex": (pb.CreateFieldIndexCollection, _nothing),
    "Query": (pb.QueryPoints, MemoryChannel.query),
    "QueryBatch": (pb.QueryBatchPoints, MemoryChannel.query_batch),
    "QueryGroups": (pb.QueryPointGroups, MemoryChannel.query_groups),
    "Count": (pb.CountPoints, MemoryChannel.count),
    "Scroll": (pb.ScrollPoints, MemoryChannel.scroll),
    "Get": (pb.GetPoints, MemoryChannel.retrieve),
}
_COLLECTIONS: Mapping[str, tuple[Any, Callable[[MemoryChannel, Any], Any]]] = {
    "CollectionExists": (pb.CollectionExistsRequest, MemoryChannel.exists),
    "Create": (pb.CreateCollection, MemoryChannel.create),
    "Get": (pb.GetCollectionInfoRequest, MemoryChannel.get),
    "Update": (pb.UpdateCollection, MemoryChannel.update),
    "Delete": (pb.DeleteCollection, MemoryChannel.drop),
    "ListAliases": (pb.ListAliasesRequest, MemoryChannel.list_aliases),
    "UpdateAliases": (pb.ChangeAliases, MemoryChannel.update_aliases),
}
