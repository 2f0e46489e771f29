"""Settings of engine collections: as stored, as wanted, and the changes that the engine can make in place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from email_sender.adapters.qdrant import packing
from email_sender.adapters.qdrant.channel import Channel
from email_sender.adapters.qdrant.wire import pb
from email_sender.errors import Conflict
from email_sender.vectors.collection_settings import LIVE_SETTINGS, Setting, SettingChange
from email_sender.vectors.model import Collection, Distance

DISTANCES = {Distance.COSINE: pb.Distance.Cosine, Distance.EUCLID: pb.Distance.Euclid}
SCALAR = pb.ScalarQuantization(type=pb.QuantizationType.Int8, quantile=0.99, always_ram=True)


@dataclass(frozen=True, slots=True)
class Placement:
    """The default number of shards and replicas, for collections that do not set their own."""

    shards: int = 1
    replicas: int = 1

    def shards_of(self, collection: Collection) -> int:
        return collection.shards or self.shards

    def replicas_of(self, collection: Collection) -> int:
        return collection.replicas or self.replicas


def write_consistency(replicas: int) -> int:
    """Return how many replicas must have stored a write before it is acknowledged."""
    return replicas // 2 + 1


def wanted_settings(collection: Collection, placement: Placement) -> Mapping[str, Setting]:
    """Return the configured settings. For a setting of None, the engine's own choice is accepted."""
    return {
        "size": collection.size,
        "distance": str(collection.distance),
        "model": collection.model,
        "words": True if collection.lexical else None,
        "shards": placement.shards_of(collection),
        "replicas": placement.replicas_of(collection),
        "quantized": collection.quantized,
        "segments": collection.segments,
        "on_disk": collection.on_disk,
    }


def stored_settings(channel: Channel, name: str) -> Mapping[str, Setting]:
    """Return the settings of an engine collection. Raises Conflict if this platform did not create it."""
    request = pb.GetCollectionInfoRequest(collection_name=name)
    config: Any = channel.collections("Get", request.SerializeToString()).result.config
    params = config.params
    if params.vectors_config.WhichOneof("config") != "params":
        raise Conflict(f"The collection {name} has named vectors, so it was not created by this platform.")
    vectors = params.vectors_config.params
    return {
        "size": vectors.size,
        "distance": pb.Distance.Name(vectors.distance),
        "model": packing.unpack_payload(config.metadata).get("model"),
        "words": packing.TERMS in params.sparse_vectors_config.map,
        "shards": params.shard_number or 1,
        "replicas": params.replication_factor or 1,
        "quantized": config.HasField("quantization_config"),
        "segments": config.optimizer_config.default_segment_number or None,
        "on_disk": vectors.on_disk,
    }


def resolve_alias(channel: Channel, alias: str) -> str:
    """Return the collection behind an alias, or the name itself if it is not an alias."""
    aliases = channel.collections("ListAliases", pb.ListAliasesRequest().SerializeToString()).aliases
    return next((str(entry.collection_name) for entry in aliases if entry.alias_name == alias), alias)


def plan_changes(channel: Channel, collection: Collection, placement: Placement) -> Sequence[SettingChange]:
    """Return the differences between the stored and the wanted settings."""
    current = stored_settings(channel, collection.name)
    return [
        SettingChange(name, current[name], value, live=name in LIVE_SETTINGS)
        for name, value in wanted_settings(collection, placement).items()
        if value is not None and value != current[name]
    ]


def apply_changes(channel: Channel, collection: Collection, changes: Sequence[SettingChange]) -> None:
    """Apply live changes. The engine rebuilds segments in the background and continues to respond."""
    request = pb.UpdateCollection(collection_name=resolve_alias(channel, collection.name))
    for change in changes:
        match change.setting, change.wanted:
            case "quantized", True:
                request.quantization_config.scalar.CopyFrom(SCALAR)
            case "quantized", False:
                request.quantization_config.disabled.CopyFrom(pb.Disabled())
            case "segments", int(number):
                request.optimizers_config.default_segment_number = number
            case "on_disk", bool(on_disk):
                request.vectors_config.params.on_disk = on_disk
            case "replicas", int(number):
                request.params.replication_factor = number
                request.params.write_consistency_factor = write_consistency(number)
            case _:
                raise ValueError(f"The setting {change.setting} cannot be changed in place.")
    channel.collections("Update", request.SerializeToString())
