"""Convert payloads, ids and vectors between protobuf and the engine's plain Python values."""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import qdrant_edge as edge

from email_sender.adapters.qdrant.packing import pack_payload
from email_sender.adapters.qdrant.wire import pb
from local.qdrant.errors import InvalidArgument, Unimplemented

type PointId = int | str | UUID
type Vector = list[float] | list[list[float]] | edge.SparseVector

_FLOAT_BYTES = 4


def payload_from(fields: Mapping[str, pb.Value]) -> dict[str, Any]:
    """Return a payload as plain Python: None, bool, int, float, str, list and dict."""
    return {key: _to_python(value) for key, value in fields.items()}


def _to_python(value: pb.Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind is None or kind == "null_value":
        return None
    if kind == "struct_value":
        return payload_from(value.struct_value.fields)
    if kind == "list_value":
        return [_to_python(item) for item in value.list_value.values]
    if kind == "double_value" and not math.isfinite(value.double_value):
        raise InvalidArgument("A payload cannot contain NaN or infinity")
    return getattr(value, kind)


def id_from(point_id: pb.PointId) -> PointId:
    """Return a number, or a UUID as canonical text. Raises InvalidArgument for an empty id or invalid UUID."""
    kind = point_id.WhichOneof("point_id_options")
    if kind == "num":
        return int(point_id.num)
    if kind == "uuid":
        try:
            return str(UUID(point_id.uuid))
        except ValueError:
            raise InvalidArgument(f"Unable to parse UUID: {point_id.uuid}") from None
    raise InvalidArgument("Malformed PointId: it is empty")


def id_to(point_id: PointId) -> pb.PointId:
    return pb.PointId(num=point_id) if isinstance(point_id, int) else pb.PointId(uuid=str(point_id))


def ids_from(ids: Iterable[pb.PointId]) -> list[PointId]:
    return [id_from(point_id) for point_id in ids]


def dense_floats(vector: pb.DenseVector) -> list[float]:
    """Return the floats as a list, which the engine reads fastest. Raises InvalidArgument for NaN and infinity."""
    # A message's bytes end with its floats, little-endian as in memory. Reading them there takes half the time of
    # iterating over the repeated field, and vectors are most of what this process decodes.
    count = len(vector.data)
    packed = array("f", vector.SerializeToString()[-_FLOAT_BYTES * count :] if count else b"")
    if sys.byteorder == "big":
        packed.byteswap()
    return _finite(packed.tolist())


def _finite(floats: list[float]) -> list[float]:
    # The sum of finite 32-bit floats cannot overflow a double, so checking the sum checks every float.
    if not math.isfinite(sum(floats)):
        raise InvalidArgument("A vector cannot contain NaN or infinity")
    return floats


def vector_from(vector: Any) -> Vector:
    """Read a ``Vector`` or ``VectorInput`` from its current fields or the deprecated ``data`` and ``indices``."""
    for kind in ("dense", "sparse", "multi_dense"):
        if vector.HasField(kind):
            return _current_vector(vector, kind)
    for kind in ("document", "image", "object"):
        if vector.HasField(kind):
            raise Unimplemented(f"inference of a vector from {kind}")
    if isinstance(vector, pb.VectorInput):
        raise InvalidArgument("The query has no vector")
    if vector.HasField("indices"):
        return edge.SparseVector(list(vector.indices.data), _finite(list(vector.data)))
    if vector.HasField("vectors_count"):
        return _rows(_finite(list(vector.data)), vector.vectors_count)
    return _finite(list(vector.data))


def _current_vector(vector: Any, kind: str) -> Vector:
    if kind == "dense":
        return dense_floats(vector.dense)
    if kind == "sparse":
        return edge.SparseVector(list(vector.sparse.indices), _finite(list(vector.sparse.values)))
    return [dense_floats(row) for row in vector.multi_dense.vectors]


def _rows(flat: list[float], count: int) -> list[list[float]]:
    if count == 0 or len(flat) % count:
        raise InvalidArgument(f"{len(flat)} floats do not make {count} vectors")
    width = len(flat) // count
    return [flat[start : start + width] for start in range(0, len(flat), width)]


def vectors_from(vectors: pb.Vectors) -> dict[str, Vector]:
    """Return a point's vectors by name; the unnamed vector is ``""``."""
    if vectors.WhichOneof("vectors_options") == "vectors":
        return {name: vector_from(vector) for name, vector in vectors.vectors.vectors.items()}
    if vectors.HasField("vector"):
        return {"": vector_from(vectors.vector)}
    return {}


def vectors_to(vectors: Any) -> pb.VectorsOutput | None:
    """Convert the engine's vectors: None, the unnamed vector, or a dict by name."""
    if vectors is None:
        return None
    if isinstance(vectors, dict):
        vectors_by_name = {name: _output(vector) for name, vector in vectors.items()}
        return pb.VectorsOutput(vectors=pb.NamedVectorsOutput(vectors=vectors_by_name))
    return pb.VectorsOutput(vector=_output(vectors))


def _output(vector: Any) -> pb.VectorOutput:
    if isinstance(vector, edge.SparseVector):
        return pb.VectorOutput(sparse=pb.SparseVector(values=vector.values, indices=vector.indices))
    if vector and isinstance(vector[0], list):
        rows = [pb.DenseVector(data=row) for row in vector]
        return pb.VectorOutput(multi_dense=pb.MultiDenseVector(vectors=rows))
    return pb.VectorOutput(dense=pb.DenseVector(data=vector))


def with_payload(selector: pb.WithPayloadSelector) -> Any:
    """Return the engine's selector. Without a selector there is no payload, as in Qdrant's gRPC."""
    kind = selector.WhichOneof("selector_options")
    if kind == "include":
        return edge.PayloadSelector.Include(list(selector.include.fields))
    if kind == "exclude":
        return edge.PayloadSelector.Exclude(list(selector.exclude.fields))
    return bool(selector.enable)


def with_vectors(selector: pb.WithVectorsSelector) -> bool | list[str]:
    if selector.WhichOneof("selector_options") == "include":
        return list(selector.include.names)
    return bool(selector.enable)


def order_value(value: float | None) -> pb.OrderValue | None:
    if value is None:
        return None
    return pb.OrderValue(int=value) if isinstance(value, int) else pb.OrderValue(float=value)


def scored_point(point: edge.ScoredPoint) -> pb.ScoredPoint:
    return scored_point_with(point, point)


def scored_point_with(point: edge.ScoredPoint, record: edge.ScoredPoint | edge.Record) -> pb.ScoredPoint:
    """Return a hit with the payload and the vectors of ``record``, which may be the result of another read."""
    return pb.ScoredPoint(
        id=id_to(point.id),
        payload=pack_payload(record.payload or {}),
        score=point.score,
        version=point.version,
        vectors=vectors_to(record.vector),
        order_value=order_value(point.order_value),
    )


def retrieved_point(record: edge.Record) -> pb.RetrievedPoint:
    return pb.RetrievedPoint(
        id=id_to(record.id),
        payload=pack_payload(record.payload or {}),
        vectors=vectors_to(record.vector),
        order_value=order_value(record.order_value),
    )
