"""What a collection is, what it is wanted to be, and the difference that the engine can make up in place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from email_sender.adapters.qdrant import packing
from email_sender.adapters.qdrant.channel import Channel
from email_sender.adapters.qdrant.wire import pb
from email_sender.errors import Conflict
from email_sender.vectors.model import Collection, Distance
from email_sender.vectors.settings import LIVE, Change, Setting

DISTANCES = {Distance.COSINE: pb.Distance.Cosine, Distance.EUCLID: pb.Distance.Euclid}
SCALAR = pb.ScalarQuantization(type=pb.QuantizationType.Int8, quantile=0.99, always_ram=True)


@dataclass(frozen=True, slots=True)
class Placement:
    """How collections lie on the cluster, where one of them says nothing else."""

    shards: int = 1
    replicas: int = 1

    def shards_of(self, collection: Collection) -> int:
        return collection.shards or self.shards

    def replicas_of(self, collection: Collection) -> int:
        return collection.replicas or self.replicas


def write_consistency(replicas: int) -> int:
    """So many copies have a write before it is acknowledged."""
    return replicas // 2 + 1


def wanted(collection: Collection, placement: Placement) -> Mapping[str, Setting]:
    """Where None is wanted the engine chooses, and what it chose is right."""
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


def stored(channel: Channel, name: str) -> Mapping[str, Setting]:
    """Raises Conflict where the collection is not one of ours."""
    request = pb.GetCollectionInfoRequest(collection_name=name)
    config: Any = channel.collections("Get", request.SerializeToString()).result.config
    params = config.params
    if params.vectors_config.WhichOneof("config") != "params":
        raise Conflict(f"The collection {name} has named vectors: it is not one of ours.")
    vectors = params.vectors_config.params
    return {
        "size": vectors.size,
        "distance": pb.Distance.Name(vectors.distance),
        "model": packing.payload_from(config.metadata).get("model"),
        "words": packing.TERMS in params.sparse_vectors_config.map,
        "shards": params.shard_number or 1,
        "replicas": params.replication_factor or 1,
        "quantized": config.HasField("quantization_config"),
        "segments": config.optimizer_config.default_segment_number or None,
        "on_disk": vectors.on_disk,
    }


def behind(channel: Channel, alias: str) -> str:
    """The collection that an alias stands for."""
    known = channel.collections("ListAliases", pb.ListAliasesRequest().SerializeToString()).aliases
    return next((str(each.collection_name) for each in known if each.alias_name == alias), alias)


def changes(channel: Channel, collection: Collection, placement: Placement) -> Sequence[Change]:
    is_now = stored(channel, collection.name)
    return [
        Change(name, is_now[name], value, live=name in LIVE)
        for name, value in wanted(collection, placement).items()
        if value is not None and value != is_now[name]
    ]


def change(channel: Channel, collection: Collection, chosen: Sequence[Change]) -> None:
    """Tell the engine of those that it makes up in place; it rebuilds what it must behind the answers it gives."""
    request = pb.UpdateCollection(collection_name=behind(channel, collection.name))
    for each in chosen:
        match each.setting, each.wanted:
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
                raise ValueError(f"{each.setting} is not changed in place")
    channel.collections("Update", request.SerializeToString())
