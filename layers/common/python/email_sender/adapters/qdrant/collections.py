"""Collections: made with their indexes before any data, behind an alias of the name that everyone uses."""

from dataclasses import dataclass
from typing import Any

from email_sender.adapters.qdrant import packing
from email_sender.adapters.qdrant.channel import Channel
from email_sender.adapters.qdrant.filters import TENANT
from email_sender.adapters.qdrant.wire import pb
from email_sender.errors import Conflict, DomainError
from email_sender.vectors.model import Collection, Distance

_DISTANCES = {Distance.COSINE: pb.Distance.Cosine, Distance.EUCLID: pb.Distance.Euclid}
_FIELDS = {"keyword": pb.FieldType.FieldTypeKeyword, "datetime": pb.FieldType.FieldTypeDatetime}
_MAX_LIMIT = 1_000


@dataclass(frozen=True, slots=True)
class Placement:
    """How a collection lies on the cluster. `write_consistency` copies have a write before it is acknowledged."""

    shards: int = 1
    replicas: int = 1

    @property
    def write_consistency(self) -> int:
        return self.replicas // 2 + 1


def prepare(channel: Channel, collection: Collection, placement: Placement) -> bool:
    """Make what is missing; whether anything was. Done again after a kill at any point, it goes on from there.

    Raises:
        Conflict: it is there with another size, distance, embedding model or without its words.
    """
    if _exists(channel, collection.name):
        _check_same(channel, collection)
        _index(channel, collection.name, collection)
        return False
    # Numbered, so that a migration can fill the next one while this is in use, and switch the alias at once.
    first = f"{collection.name}-1"
    if not _exists(channel, first):
        _create(channel, first, collection, placement)
    _index(channel, first, collection)
    alias = pb.CreateAlias(collection_name=first, alias_name=collection.name)
    change = pb.ChangeAliases(actions=[pb.AliasOperations(create_alias=alias)])
    channel.collections("UpdateAliases", change.SerializeToString())
    return True


def _exists(channel: Channel, name: str) -> bool:
    request = pb.CollectionExistsRequest(collection_name=name)
    return bool(channel.collections("CollectionExists", request.SerializeToString()).result.exists)


def _create(channel: Channel, name: str, collection: Collection, placement: Placement) -> None:
    request = pb.CreateCollection(
        collection_name=name,
        vectors_config=pb.VectorsConfig(
            params=pb.VectorParams(size=collection.size, distance=_DISTANCES[collection.distance], on_disk=True)
        ),
        optimizers_config=pb.OptimizersConfigDiff(default_segment_number=collection.segments),
        on_disk_payload=True,
        shard_number=placement.shards,
        replication_factor=placement.replicas,
        write_consistency_factor=placement.write_consistency,
        strict_mode_config=pb.StrictModeConfig(enabled=True, max_query_limit=_MAX_LIMIT),
        metadata=packing.payload_to({"model": collection.model} if collection.model else {}),
    )
    if collection.quantized:
        scalar = pb.ScalarQuantization(type=pb.QuantizationType.Int8, quantile=0.99, always_ram=True)
        request.quantization_config.scalar.CopyFrom(scalar)
    if collection.lexical:
        request.sparse_vectors_config.map[packing.TERMS].modifier = pb.Modifier.Idf
    try:
        channel.collections("Create", request.SerializeToString(), repeatable=False)
    except DomainError:
        # Another deployment made it between the question and the order.
        if not _exists(channel, name):
            raise


def _index(channel: Channel, name: str, collection: Collection) -> None:
    """Before any data, and again harmlessly: an index made after the graph leaves filtered search without edges."""
    tenant = pb.CreateFieldIndexCollection(
        collection_name=name,
        wait=True,
        field_name=TENANT,
        field_type=pb.FieldType.FieldTypeKeyword,
        field_index_params=pb.PayloadIndexParams(keyword_index_params=pb.KeywordIndexParams(is_tenant=True)),
    )
    others = [
        pb.CreateFieldIndexCollection(collection_name=name, wait=True, field_name=key, field_type=_FIELDS[kind])
        for key, kind in collection.indexed.items()
    ]
    for request in (tenant, *others):
        channel.points("CreateFieldIndex", request.SerializeToString(), seconds=30.0)


def _check_same(channel: Channel, collection: Collection) -> None:
    request = pb.GetCollectionInfoRequest(collection_name=collection.name)
    config: Any = channel.collections("Get", request.SerializeToString()).result.config
    if config.params.vectors_config.WhichOneof("config") != "params":
        raise Conflict(f"The collection {collection.name} has named vectors: it is not one of ours.")
    vectors = config.params.vectors_config.params
    if vectors.size != collection.size or vectors.distance != _DISTANCES[collection.distance]:
        raise Conflict(
            f"The collection {collection.name} holds vectors of {vectors.size} by "
            f"{pb.Distance.Name(vectors.distance)}; {collection.size} by {collection.distance} are configured."
        )
    stored = packing.payload_from(config.metadata).get("model")
    if collection.model is not None and stored is not None and stored != collection.model:
        raise Conflict(f"The collection {collection.name} was embedded by {stored}, not by {collection.model}.")
    if collection.lexical and packing.TERMS not in config.params.sparse_vectors_config.map:
        raise Conflict(
            f"The collection {collection.name} was made without words for hybrid search: delete it and import its "
            "mailboxes again (on one machine: remove .local)."
        )
