"""Convert writes to the engine's operations.

Each function accepts a request of the ``Points`` service or the matching operation of ``UpdateBatch``, which has the
same field names. It returns the engine's operation and about how many points it changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qdrant_edge as edge

from email_sender.adapters.qdrant.wire import pb
from local.qdrant.collection import Collection
from local.qdrant.errors import InvalidArgument
from local.qdrant.filters import filter_from
from local.qdrant.values import PointId, Vector, id_from, ids_from, payload_from, vectors_from

type Write = tuple[edge.UpdateOperation, int]

_MODES = {
    pb.UpdateMode.Upsert: edge.UpdateMode.Upsert,
    pb.UpdateMode.InsertOnly: edge.UpdateMode.InsertOnly,
    pb.UpdateMode.UpdateOnly: edge.UpdateMode.UpdateOnly,
}


def upsert(collection: Collection, message: Any) -> Write:
    points = [
        edge.Point(id_from(point.id), _vectors(collection, point), payload_from(point.payload))
        for point in message.points
    ]
    update_filter = filter_from(message.update_filter) if message.HasField("update_filter") else None
    return edge.UpdateOperation.upsert_points(points, update_filter, _MODES[message.update_mode]), len(points)


def update_vectors(collection: Collection, message: Any) -> Write:
    points = [edge.PointVectors(id_from(point.id), _vectors(collection, point)) for point in message.points]
    update_filter = filter_from(message.update_filter) if message.HasField("update_filter") else None
    return edge.UpdateOperation.update_vectors(points, update_filter), len(points)


def delete_vectors(_collection: Collection, message: Any) -> Write:
    names = list(message.vectors.names)
    return _by_selector(
        message.points_selector,
        lambda ids: edge.UpdateOperation.delete_vectors(ids, names),
        lambda condition: edge.UpdateOperation.delete_vectors_by_filter(condition, names),
    )


def delete(_collection: Collection, message: Any) -> Write:
    return _by_selector(
        message.points, edge.UpdateOperation.delete_points, edge.UpdateOperation.delete_points_by_filter
    )


def set_payload(_collection: Collection, message: Any) -> Write:
    payload, key = payload_from(message.payload), _payload_key(message)
    return _by_selector(
        message.points_selector,
        lambda ids: edge.UpdateOperation.set_payload(ids, payload, key),
        lambda condition: edge.UpdateOperation.set_payload_by_filter(condition, payload, key),
    )


def overwrite_payload(_collection: Collection, message: Any) -> Write:
    payload, key = payload_from(message.payload), _payload_key(message)
    return _by_selector(
        message.points_selector,
        lambda ids: edge.UpdateOperation.overwrite_payload(ids, payload, key),
        lambda condition: edge.UpdateOperation.overwrite_payload_by_filter(condition, payload, key),
    )


def delete_payload(_collection: Collection, message: Any) -> Write:
    keys = list(message.keys)
    return _by_selector(
        message.points_selector,
        lambda ids: edge.UpdateOperation.delete_payload(ids, keys),
        lambda condition: edge.UpdateOperation.delete_payload_by_filter(condition, keys),
    )


def clear_payload(_collection: Collection, message: Any) -> Write:
    return _by_selector(
        message.points, edge.UpdateOperation.clear_payload, edge.UpdateOperation.clear_payload_by_filter
    )


BATCH_OPERATIONS: dict[str, Callable[[Collection, Any], Write]] = {
    "upsert": upsert,
    "update_vectors": update_vectors,
    "delete_vectors": delete_vectors,
    "delete_points": delete,
    "set_payload": set_payload,
    "overwrite_payload": overwrite_payload,
    "delete_payload": delete_payload,
    "clear_payload": clear_payload,
}
"""The operations of ``UpdateBatch`` by field name."""


def _vectors(collection: Collection, point: Any) -> Any:
    vectors: dict[str, Vector] = collection.check_vectors(vectors_from(point.vectors))
    # The engine expects the unnamed vector without a dict.
    return vectors[""] if "" in vectors and len(vectors) == 1 else vectors


def _payload_key(message: Any) -> str | None:
    return message.key if message.HasField("key") else None


def _by_selector(
    selector: pb.PointsSelector,
    by_ids: Callable[[list[PointId]], edge.UpdateOperation],
    by_filter: Callable[[edge.Filter], edge.UpdateOperation],
) -> Write:
    kind = selector.WhichOneof("points_selector_one_of")
    if kind == "points":
        ids = ids_from(selector.points.ids)
        return by_ids(ids), len(ids)
    if kind == "filter":
        return by_filter(filter_from(selector.filter)), 1
    raise InvalidArgument("PointsSelector is missing: set points or a filter")
