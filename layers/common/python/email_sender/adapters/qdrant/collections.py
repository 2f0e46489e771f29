"""Engine collections: each is created with its indexes before any data, and used through an alias with its name."""

from email_sender.adapters.qdrant import packing
from email_sender.adapters.qdrant.channel import Channel
from email_sender.adapters.qdrant.collection_settings import (
    DISTANCES,
    SCALAR,
    Placement,
    resolve_alias,
    stored_settings,
    write_consistency,
)
from email_sender.adapters.qdrant.filters import TENANT
from email_sender.adapters.qdrant.wire import pb
from email_sender.errors import Conflict, DomainError
from email_sender.vectors.model import Collection

_FIELDS = {"keyword": pb.FieldType.FieldTypeKeyword, "datetime": pb.FieldType.FieldTypeDatetime}
_MAX_LIMIT = 1_000


def prepare(channel: Channel, collection: Collection, placement: Placement) -> bool:
    """Create the collection and its indexes if they are missing. Return whether the collection was created.

    Repeatable: after a crash at any point, the next call completes the work.

    Raises:
        Conflict: the collection exists with another size, distance or embedding model, or without terms.
    """
    if _exists(channel, collection.name):
        _check_unchanged(channel, collection)
        _create_indexes(channel, collection.name, collection)
        return False
    # Numbered, so that a migration can fill the next collection while this one is in use, and then switch the alias.
    first = f"{collection.name}-1"
    create_if_missing(channel, first, collection, placement)
    set_alias(channel, collection.name, first)
    return True


def create_if_missing(channel: Channel, stored_as: str, collection: Collection, placement: Placement) -> bool:
    """Create an engine collection with its indexes if it is missing. Return whether it was created."""
    is_missing = not _exists(channel, stored_as)
    if is_missing:
        _create(channel, stored_as, collection, placement)
    _create_indexes(channel, stored_as, collection)
    return is_missing


def set_alias(channel: Channel, name: str, stored_as: str) -> None:
    """Point the alias `name` at a collection, atomically for all clients."""
    actions = [pb.AliasOperations(create_alias=pb.CreateAlias(collection_name=stored_as, alias_name=name))]
    if resolve_alias(channel, name) != name:
        actions.insert(0, pb.AliasOperations(delete_alias=pb.DeleteAlias(alias_name=name)))
    channel.collections("UpdateAliases", pb.ChangeAliases(actions=actions).SerializeToString())


def drop(channel: Channel, stored_as: str) -> None:
    """Delete the collection. Do nothing if it does not exist."""
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
        metadata=packing.pack_payload({"model": collection.model} if collection.model else {}),
    )
    if collection.quantized:
        request.quantization_config.scalar.CopyFrom(SCALAR)
    if collection.lexical:
        request.sparse_vectors_config.map[packing.TERMS].modifier = pb.Modifier.Idf
    try:
        channel.collections("Create", request.SerializeToString(), repeatable=False)
    except DomainError:
        # Another deployment may have created the collection after the check for existence.
        if not _exists(channel, name):
            raise


def _create_indexes(channel: Channel, name: str, collection: Collection) -> None:
    """Create the payload indexes. Repeatable. Call it before any data: later, filtered searches lack graph links."""
    tenant = pb.CreateFieldIndexCollection(
        collection_name=name,
        wait=True,
        field_name=TENANT,
        field_type=pb.FieldType.FieldTypeKeyword,
        field_index_params=pb.PayloadIndexParams(keyword_index_params=pb.KeywordIndexParams(is_tenant=True)),
    )
    payload_indexes = [
        pb.CreateFieldIndexCollection(collection_name=name, wait=True, field_name=key, field_type=_FIELDS[kind])
        for key, kind in collection.payload_indexes.items()
    ]
    for request in (tenant, *payload_indexes):
        channel.points("CreateFieldIndex", request.SerializeToString(), seconds=30.0)


def _check_unchanged(channel: Channel, collection: Collection) -> None:
    """Check the settings that cannot change in place. A plan changes the others (vectors.collection_settings)."""
    stored_values = stored_settings(channel, collection.name)
    if (stored_values["size"], stored_values["distance"]) != (collection.size, str(collection.distance)):
        raise Conflict(
            f"The collection {collection.name} holds {stored_values['distance']} vectors of "
            f"{stored_values['size']} dimensions, but "
            f"{collection.distance} vectors of {collection.size} dimensions are configured."
        )
    if (
        collection.model is not None
        and stored_values["model"] is not None
        and stored_values["model"] != collection.model
    ):
        raise Conflict(
            f"The collection {collection.name} was embedded by {stored_values['model']}, not by {collection.model}."
        )
    if collection.lexical and not stored_values["words"]:
        raise Conflict(
            f"The collection {collection.name} was created without terms for hybrid search. Delete it and import its "
            "mailboxes again (on a local machine: remove .local)."
        )
