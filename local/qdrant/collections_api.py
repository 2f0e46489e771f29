"""The ``Collections`` service of Qdrant's protocol."""

from __future__ import annotations

from collections.abc import Mapping

from email_sender.adapters.qdrant.wire import pb
from local.qdrant.catalogue import Catalogue
from local.qdrant.configs import apply_update, build_config
from local.qdrant.errors import grpc_method, unimplemented_by_default


@unimplemented_by_default
class CollectionsApi(pb.CollectionsServicer):  # type: ignore[misc]  # generated code has no types
    """Collections and aliases. Methods for clusters and shard keys return UNIMPLEMENTED: there is one node."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    @grpc_method
    def Create(self, request: pb.CreateCollection) -> pb.CollectionOperationResponse:
        self._catalogue.create(request.collection_name, build_config(request))
        return pb.CollectionOperationResponse(result=True)

    @grpc_method
    def Get(self, request: pb.GetCollectionInfoRequest) -> pb.GetCollectionInfoResponse:
        return pb.GetCollectionInfoResponse(result=self._catalogue.get(request.collection_name).info())

    @grpc_method
    def List(self, _request: pb.ListCollectionsRequest) -> pb.ListCollectionsResponse:
        descriptions = [pb.CollectionDescription(name=name) for name in self._catalogue.names()]
        return pb.ListCollectionsResponse(collections=descriptions)

    @grpc_method
    def CollectionExists(self, request: pb.CollectionExistsRequest) -> pb.CollectionExistsResponse:
        exists = self._catalogue.exists(request.collection_name)
        return pb.CollectionExistsResponse(result=pb.CollectionExists(exists=exists))

    @grpc_method
    def Update(self, request: pb.UpdateCollection) -> pb.CollectionOperationResponse:
        collection = self._catalogue.get(request.collection_name)
        collection.reconfigure(apply_update(collection.config, request))
        return pb.CollectionOperationResponse(result=True)

    @grpc_method
    def Delete(self, request: pb.DeleteCollection) -> pb.CollectionOperationResponse:
        return pb.CollectionOperationResponse(result=self._catalogue.delete(request.collection_name))

    @grpc_method
    def UpdateAliases(self, request: pb.ChangeAliases) -> pb.CollectionOperationResponse:
        self._catalogue.change_aliases(request.actions)
        return pb.CollectionOperationResponse(result=True)

    @grpc_method
    def ListAliases(self, _request: pb.ListAliasesRequest) -> pb.ListAliasesResponse:
        return _list_aliases_response(self._catalogue.aliases())

    @grpc_method
    def ListCollectionAliases(self, request: pb.ListCollectionAliasesRequest) -> pb.ListAliasesResponse:
        name = self._catalogue.get(request.collection_name).name
        return _list_aliases_response(
            {alias: target for alias, target in self._catalogue.aliases().items() if target == name}
        )


def _list_aliases_response(aliases: Mapping[str, str]) -> pb.ListAliasesResponse:
    descriptions = [pb.AliasDescription(alias_name=alias, collection_name=name) for alias, name in aliases.items()]
    return pb.ListAliasesResponse(aliases=descriptions)
