"""Collections: made with their indexes before any data, behind an alias of the name that everyone uses."""

from email_sender.adapters.qdrant import packing
from email_sender.adapters.qdrant.channel import Channel
from email_sender.adapters.qdrant.filters import TENANT
from email_sender.adapters.qdrant.settings import DISTANCES, SCALAR, Placement, behind, stored, write_consistency
from email_sender.adapters.qdrant.wire import pb
from email_sender.errors import Conflict, DomainError
from email_sender.vectors.model import Collection

_FIELDS = {"keyword": pb.FieldType.FieldTypeKeyword, "datetime": pb.FieldType.FieldTypeDatetime}
_MAX_LIMIT = 1_000


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
    make(channel, first, collection, placement)
    alias(channel, collection.name, first)
    return True


def make(channel: Channel, stored_as: str, collection: Collection, placement: Placement) -> bool:
    """The engine's collection of that name with its indexes, where it is missing; whether it was."""
    missing = not _exists(channel, stored_as)
    if missing:
        _create(channel, stored_as, collection, placement)
    _index(channel, stored_as, collection)
    return missing


def alias(channel: Channel, name: str, stored_as: str) -> None:
    """From now on `name` means that collection, whatever it meant before: at once for everybody."""
    actions = [pb.AliasOperations(create_alias=pb.CreateAlias(collection_name=stored_as, alias_name=name))]
    if behind(channel, name) != name:
        actions.insert(0, pb.AliasOperations(delete_alias=pb.DeleteAlias(alias_name=name)))
    channel.collections("UpdateAliases", pb.ChangeAliases(actions=actions).SerializeToString())


def drop(channel: Channel, stored_as: str) -> None:
    """What is not there stays so."""
    if _exists(channel, stored_as):
        request = pb.DeleteCollection(collection_name=stored_as)
        channel.collections("Delete", request.SerializeToString())


def _exists(channel: Channel, name: str) -> bool:
    request = pb.CollectionExistsRequest(collection_name=name)
    return bool(channel.collections("CollectionExists", request.SerializeToString()).result.exists)


def _create(channel: Channel, name: str, collection: Collection, placement: Placement) -> None:
    request = pb.CreateCollection(
        collection_name=name,
        vectors_config=pb.VectorsConfig(
            params=pb.VectorParams(
                size=collection.size, distance=DISTANCES[collection.distance], on_disk=collection.on_disk
            )
        ),
        optimizers_config=pb.OptimizersConfigDiff(default_segment_number=collection.segments),
        on_disk_payload=True,
        shard_number=placement.shards_of(collection),
        replication_factor=placement.replicas_of(collection),
        write_consistency_factor=write_consistency(placement.replicas_of(collection)),
        strict_mode_config=pb.StrictModeConfig(enabled=True, max_query_limit=_MAX_LIMIT),
        metadata=packing.payload_to({"model": collection.model} if collection.model else {}),
    )
    if collection.quantized:
        request.quantization_config.scalar.CopyFrom(SCALAR)
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
    """What cannot be changed in place must be as configured; the rest is for a plan (settings.py)."""
    found = stored(channel, collection.name)
    if (found["size"], found["distance"]) != (collection.size, str(collection.distance)):
        raise Conflict(
            f"The collection {collection.name} holds vectors of {found['size']} by {found['distance']}; "
            f"{collection.size} by {collection.distance} are configured."
        )
    if collection.model is not None and found["model"] is not None and found["model"] != collection.model:
        raise Conflict(f"The collection {collection.name} was embedded by {found['model']}, not by {collection.model}.")
    if collection.lexical and not found["words"]:
        raise Conflict(
            f"The collection {collection.name} was made without words for hybrid search: delete it and import its "
            "mailboxes again (on one machine: remove .local)."
        )
