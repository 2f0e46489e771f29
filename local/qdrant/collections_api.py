"""The ``Collections`` service of Qdrant's protocol."""

from __future__ import annotations

from collections.abc import Mapping

from email_sender.adapters.qdrant.wire import pb
from local.qdrant.catalogue import Catalogue
from local.qdrant.configs import config_of, updated
from local.qdrant.errors import answers, rest_unsupported


@rest_unsupported
class CollectionsApi(pb.CollectionsServicer):  # type: ignore[misc]  # generated code has no types
    """Collections and aliases. Clusters and shard keys answer UNIMPLEMENTED: there is one node."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    @answers
    def Create(self, request: pb.CreateCollection) -> pb.CollectionOperationResponse:
        self._catalogue.create(request.collection_name, config_of(request))
        return pb.CollectionOperationResponse(result=True)

    @answers
    def Get(self, request: pb.GetCollectionInfoRequest) -> pb.GetCollectionInfoResponse:
        return pb.GetCollectionInfoResponse(result=self._catalogue.get(request.collection_name).info())

    @answers
    def List(self, _request: pb.ListCollectionsRequest) -> pb.ListCollectionsResponse:
        found = [pb.CollectionDescription(name=name) for name in self._catalogue.names()]
        return pb.ListCollectionsResponse(collections=found)

    @answers
    def CollectionExists(self, request: pb.CollectionExistsRequest) -> pb.CollectionExistsResponse:
        exists = self._catalogue.exists(request.collection_name)
        return pb.CollectionExistsResponse(result=pb.CollectionExists(exists=exists))

    @answers
    def Update(self, request: pb.UpdateCollection) -> pb.CollectionOperationResponse:
        collection = self._catalogue.get(request.collection_name)
        collection.reconfigure(updated(collection.config, request))
        return pb.CollectionOperationResponse(result=True)

    @answers
    def Delete(self, request: pb.DeleteCollection) -> pb.CollectionOperationResponse:
        return pb.CollectionOperationResponse(result=self._catalogue.delete(request.collection_name))

    @answers
    def UpdateAliases(self, request: pb.ChangeAliases) -> pb.CollectionOperationResponse:
        self._catalogue.change_aliases(request.actions)
        return pb.CollectionOperationResponse(result=True)

    @answers
    def ListAliases(self, _request: pb.ListAliasesRequest) -> pb.ListAliasesResponse:
        return _described(self._catalogue.aliases())

    @answers
    def ListCollectionAliases(self, request: pb.ListCollectionAliasesRequest) -> pb.ListAliasesResponse:
        name = self._catalogue.get(request.collection_name).name
        return _described({alias: target for alias, target in self._catalogue.aliases().items() if target == name})


def _described(aliases: Mapping[str, str]) -> pb.ListAliasesResponse:
    found = [pb.AliasDescription(alias_name=alias, collection_name=name) for alias, name in aliases.items()]
    return pb.ListAliasesResponse(aliases=found)
