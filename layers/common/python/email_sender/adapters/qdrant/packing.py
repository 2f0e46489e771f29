"""Points as Qdrant's bytes.

A vector is packed by hand: protobuf's own way from Python makes an object of every float (31,000 vectors of 256 a
second against 67,000). A serialised message with one more field behind it is the message with that field, so only the
vector's few nested fields are written here and everything else is the generated code's.
"""

import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from email_sender.adapters.qdrant.wire import pb
from email_sender.vectors.model import Terms

_INT64 = range(-(2**63), 2**63)
_LENGTH_DELIMITED = 2


def _tag(message: Any, name: str) -> bytes:
    return _varint(message.DESCRIPTOR.fields_by_name[name].number << 3 | _LENGTH_DELIMITED)


@lru_cache(4096)  # lengths, of which a collection's points have few
def _varint(number: int) -> bytes:
    packed = bytearray()
    while number > 0x7F:
        packed.append(number & 0x7F | 0x80)
        number >>= 7
    packed.append(number)
    return bytes(packed)


_DATA = _tag(pb.DenseVector, "data")
_DENSE = _tag(pb.Vector, "dense")
_VECTOR = _tag(pb.Vectors, "vector")
_NAMED = _tag(pb.Vectors, "vectors")
_ENTRIES = _tag(pb.NamedVectors, "vectors")
_VECTORS = _tag(pb.PointStruct, "vectors")
_POINTS = _tag(pb.UpsertPoints, "points")
# Of a map's entry: key and value are 1 and 2 by protobuf's definition of maps.
_KEY, _VALUE = b"\x0a", b"\x12"


def _field(tag: bytes, content: bytes) -> bytes:
    return tag + _varint(len(content)) + content


def floats(vector: Sequence[float]) -> bytes:
    """Little-endian float32. An array("f") is not looked into."""
    packed = vector if isinstance(vector, array) and vector.typecode == "f" else array("f", vector)
    if sys.byteorder == "big":
        packed = array("f", packed)
        packed.byteswap()
    return packed.tobytes()


def dense(vector: Sequence[float]) -> Any:
    """A pb.DenseVector, by way of its bytes for the same reason."""
    return pb.DenseVector.FromString(_field(_DATA, floats(vector)))


def unpacked(vector: Any) -> array[float]:
    """The reverse, of a message that holds one dense vector; by way of its bytes too (0.3 ms of 768 floats else)."""
    dense = vector.dense if vector.HasField("dense") else pb.DenseVector(data=vector.data)
    made = array("f")
    # A DenseVector is its floats behind a tag and a length.
    made.frombytes(dense.SerializeToString()[-4 * len(dense.data) :] if dense.data else b"")
    if sys.byteorder == "big":
        made.byteswap()
    return made


NO_VECTOR: array[float] = array("f")


def terms_from(vector: Any) -> Terms:
    """Of a message that holds one sparse vector."""
    if vector.HasField("sparse"):
        return Terms(list(vector.sparse.indices), list(vector.sparse.values))
    return Terms(list(vector.indices.data), list(vector.data))


def point(point_id: str, vector: Sequence[float], payload: Mapping[str, Any], terms: Any | None = None) -> bytes:
    """A PointStruct. `terms` is a pb.SparseVector, stored beside the dense one under the name `TERMS`."""
    head: bytes = pb.PointStruct(id=pb.PointId(uuid=point_id), payload=payload_to(payload)).SerializeToString()
    packed = floats(vector)
    if terms is None:
        return b"".join((head, _before_floats(len(packed)), packed))
    dense = _field(_DENSE, _field(_DATA, packed))
    sparse: bytes = pb.Vector(sparse=terms).SerializeToString()
    named = _field(_ENTRIES, _KEY + b"\x00" + _field(_VALUE, dense)) + _field(
        _ENTRIES, _field(_KEY, TERMS.encode()) + _field(_VALUE, sparse)
    )
    return head + _field(_VECTORS, _field(_NAMED, named))


@lru_cache(64)
def _before_floats(length: int) -> bytes:
    """What lies between a point's head and so many bytes of its one vector: four tags and lengths."""
    data = _DATA + _varint(length)
    dense = _DENSE + _varint(len(data) + length) + data
    vector = _VECTOR + _varint(len(dense) + length) + dense
    return _VECTORS + _varint(len(vector) + length) + vector


# The sparse vector of a text's words, for hybrid search.
TERMS = "terms"


def upsert(collection: str, points: Iterable[bytes]) -> bytes:
    """An UpsertPoints that waits until it is stored."""
    head: bytes = pb.UpsertPoints(collection_name=collection, wait=True).SerializeToString()
    return head + b"".join(_field(_POINTS, each) for each in points)


def payload_to(payload: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value_to(item) for key, item in payload.items()}


def value_to(item: Any) -> Any:
    """JSON as pb.Value. Integers of more than 64 signed bits become doubles."""
    if isinstance(item, str):
        return pb.Value(string_value=item)
    if item is None:
        return pb.Value(null_value=pb.NULL_VALUE)
    if isinstance(item, bool):  # before int: True is one
        return pb.Value(bool_value=item)
    if isinstance(item, int):
        return pb.Value(integer_value=item) if item in _INT64 else pb.Value(double_value=float(item))
    if isinstance(item, float):
        return pb.Value(double_value=item)
    if isinstance(item, Mapping):
        return pb.Value(struct_value=pb.Struct(fields=payload_to(item)))
    return pb.Value(list_value=pb.ListValue(values=[value_to(each) for each in item]))


def payload_from(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _python(value) for key, value in fields.items()}


def _python(value: Any) -> Any:
    kind = value.WhichOneof("kind")
    if kind is None or kind == "null_value":
        return None
    if kind == "struct_value":
        return payload_from(value.struct_value.fields)
    if kind == "list_value":
        return [_python(each) for each in value.list_value.values]
    return getattr(value, kind)
