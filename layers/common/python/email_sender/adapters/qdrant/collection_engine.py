"""Engine collections as jobs create, switch and drop them. Implements vectors.jobs.ports.CollectionEngine."""

from collections.abc import Callable, Mapping

from email_sender.adapters.qdrant import collections, packing
from email_sender.adapters.qdrant.channel import Channel
from email_sender.adapters.qdrant.collection_settings import Placement, resolve_alias, stored_settings
from email_sender.adapters.qdrant.point_store import QdrantPoints
from email_sender.adapters.qdrant.wire import pb
from email_sender.errors import Conflict
from email_sender.vectors.model import Collection, Distance
from email_sender.vectors.served_collections import ServedCollection


class QdrantCollections:
    def __init__(
        self, channel: Callable[[], Channel], configured: Mapping[str, Collection], placement: Placement
    ) -> None:
        self._channel, self._configured, self._placement = channel, configured, placement

    def create_if_missing(self, served: ServedCollection) -> bool:
        collection = served.apply_to(self._configured[served.name])
        return collections.create_if_missing(self._channel(), served.stored_as, collection, self._placement)

    def drop(self, stored_as: str) -> None:
        collections.drop(self._channel(), stored_as)

    def alias(self, served: ServedCollection) -> None:
        collections.set_alias(self._channel(), served.name, served.stored_as)

    def snapshot(self, stored_as: str) -> str | None:
        return self._channel().snapshot(stored_as)

    def points(self, stored_as: str) -> QdrantPoints:
        return QdrantPoints(self._channel(), stored_as)

    def describe(self, collection: Collection) -> ServedCollection:
        """Return the collection that the engine stores behind a collection's name.

        Raises:
            Conflict: the collection was not created by this platform.
        """
        channel = self._channel()
        stored_values = stored_settings(channel, collection.name)
        return ServedCollection(
            collection.name,
            resolve_alias(channel, collection.name),
            int(stored_values["size"] or 0),
            Distance(str(stored_values["distance"])),
            str(stored_values["model"]) if stored_values["model"] else collection.model,
            bool(stored_values["words"]),
        )


def check_readable(channel: Channel, collection: str, target: ServedCollection) -> None:
    """Check that another engine's collection can be read into the target.

    Raises:
        Conflict: its vectors do not fit the target.
        NotFound: the collection does not exist.
    """
    request = pb.GetCollectionInfoRequest(collection_name=collection)
    config = channel.collections("Get", request.SerializeToString()).result.config
    if config.params.vectors_config.WhichOneof("config") != "params":
        raise Conflict(f"The collection {collection} has named vectors. Only a single unnamed vector is supported.")
    size, model = config.params.vectors_config.params.size, packing.unpack_payload(config.metadata).get("model")
    if size != target.size:
        raise Conflict(f"The collection {collection} has vectors of {size} dimensions instead of {target.size}.")
    # If the collection does not name its model, the operator is responsible for the choice.
    if model is not None and model != target.model:
        raise Conflict(f"The collection {collection} was embedded by {model}, not by {target.model}.")
