"""Writes as the engine's operations.

Each function takes a request of the ``Points`` service or its twin inside ``UpdateBatch``: they name their fields
alike. It returns the engine's operation and about how many points that touches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qdrant_edge as edge

from email_sender.adapters.qdrant.wire import pb
from local.qdrant.collection import Collection
from local.qdrant.errors import Invalid
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
    only = filter_from(message.update_filter) if message.HasField("update_filter") else None
    return edge.UpdateOperation.upsert_points(points, only, _MODES[message.update_mode]), len(points)


def update_vectors(collection: Collection, message: Any) -> Write:
    points = [edge.PointVectors(id_from(point.id), _vectors(collection, point)) for point in message.points]
    only = filter_from(message.update_filter) if message.HasField("update_filter") else None
    return edge.UpdateOperation.update_vectors(points, only), len(points)


def delete_vectors(_collection: Collection, message: Any) -> Write:
    names = list(message.vectors.names)
    return _selected(
        message.points_selector,
        lambda ids: edge.UpdateOperation.delete_vectors(ids, names),
        lambda chosen: edge.UpdateOperation.delete_vectors_by_filter(chosen, names),
    )


def delete(_collection: Collection, message: Any) -> Write:
    return _selected(message.points, edge.UpdateOperation.delete_points, edge.UpdateOperation.delete_points_by_filter)


def set_payload(_collection: Collection, message: Any) -> Write:
    payload, key = payload_from(message.payload), _key(message)
    return _selected(
        message.points_selector,
        lambda ids: edge.UpdateOperation.set_payload(ids, payload, key),
        lambda chosen: edge.UpdateOperation.set_payload_by_filter(chosen, payload, key),
    )


def overwrite_payload(_collection: Collection, message: Any) -> Write:
    payload, key = payload_from(message.payload), _key(message)
    return _selected(
        message.points_selector,
        lambda ids: edge.UpdateOperation.overwrite_payload(ids, payload, key),
        lambda chosen: edge.UpdateOperation.overwrite_payload_by_filter(chosen, payload, key),
    )


def delete_payload(_collection: Collection, message: Any) -> Write:
    keys = list(message.keys)
    return _selected(
        message.points_selector,
        lambda ids: edge.UpdateOperation.delete_payload(ids, keys),
        lambda chosen: edge.UpdateOperation.delete_payload_by_filter(chosen, keys),
    )


def clear_payload(_collection: Collection, message: Any) -> Write:
    return _selected(message.points, edge.UpdateOperation.clear_payload, edge.UpdateOperation.clear_payload_by_filter)


BATCHED: dict[str, Callable[[Collection, Any], Write]] = {
    "upsert": upsert,
    "update_vectors": update_vectors,
    "delete_vectors": delete_vectors,
    "delete_points": delete,
    "set_payload": set_payload,
    "overwrite_payload": overwrite_payload,
    "delete_payload": delete_payload,
    "clear_payload": clear_payload,
}
"""The operations of ``UpdateBatch`` by their field's name."""


def _vectors(collection: Collection, point: Any) -> Any:
    vectors: dict[str, Vector] = collection.checked(vectors_from(point.vectors))
    # The engine wants the unnamed vector bare.
    return vectors[""] if "" in vectors and len(vectors) == 1 else vectors


def _key(message: Any) -> str | None:
    return message.key if message.HasField("key") else None


def _selected(
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
    raise Invalid("PointsSelector is missing: name points or a filter")
