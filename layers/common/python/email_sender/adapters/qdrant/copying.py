"""Collections as jobs make, switch and drop them. Implements vectors.job_steps.Engine."""

from collections.abc import Callable, Mapping

from email_sender.adapters.qdrant import collections, packing
from email_sender.adapters.qdrant.channel import Channel
from email_sender.adapters.qdrant.points import QdrantPoints
from email_sender.adapters.qdrant.settings import Placement, behind, stored
from email_sender.adapters.qdrant.wire import pb
from email_sender.errors import Conflict
from email_sender.vectors.model import Collection, Distance
from email_sender.vectors.serving import Served


class QdrantCopying:
    def __init__(
        self, channel: Callable[[], Channel], configured: Mapping[str, Collection], placement: Placement
    ) -> None:
        self._channel, self._configured, self._placement = channel, configured, placement

    def make(self, served: Served) -> bool:
        collection = served.of(self._configured[served.name])
        return collections.make(self._channel(), served.stored_as, collection, self._placement)

    def drop(self, stored_as: str) -> None:
        collections.drop(self._channel(), stored_as)

    def alias(self, served: Served) -> None:
        collections.alias(self._channel(), served.name, served.stored_as)

    def snapshot(self, stored_as: str) -> str | None:
        return self._channel().snapshot(stored_as)

    def points(self, stored_as: str) -> QdrantPoints:
        return QdrantPoints(self._channel(), stored_as)

    def found(self, collection: Collection) -> Served:
        """What the engine has behind a collection's name.

        Raises:
            Conflict: it is not one of ours.
        """
        channel = self._channel()
        has = stored(channel, collection.name)
        return Served(
            collection.name,
            behind(channel, collection.name),
            int(has["size"] or 0),
            Distance(str(has["distance"])),
            str(has["model"]) if has["model"] else collection.model,
            bool(has["words"]),
        )


def check_readable(channel: Channel, collection: str, target: Served) -> None:
    """Raises Conflict where another engine's vectors are none for the target, or NotFound where they are not there."""
    request = pb.GetCollectionInfoRequest(collection_name=collection)
    config = channel.collections("Get", request.SerializeToString()).result.config
    if config.params.vectors_config.WhichOneof("config") != "params":
        raise Conflict(f"The collection {collection} has named vectors: only a single unnamed one is taken.")
    size, model = config.params.vectors_config.params.size, packing.payload_from(config.metadata).get("model")
    if size != target.size:
        raise Conflict(f"The collection {collection} has vectors of {size}, not {target.size}.")
    # One that says nothing of its model is its operator's word.
    if model is not None and model != target.model:
        raise Conflict(f"The collection {collection} was embedded by {model}, and {target.model} is wanted.")
