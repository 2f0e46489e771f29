"""Convert collection settings from Qdrant's protocol to the engine's configuration, with Qdrant's defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import qdrant_edge as edge

from email_sender.adapters.qdrant.wire import pb
from local.qdrant.errors import InvalidArgument, Unimplemented

# Qdrant 1.x defaults. Thresholds and sizes are in KB of vectors.
HNSW = pb.HnswConfigDiff(m=16, ef_construct=100, full_scan_threshold=10_000, max_indexing_threads=0, on_disk=False)
OPTIMIZER = pb.OptimizersConfigDiff(
    deleted_threshold=0.2,
    vacuum_min_vector_number=1000,
    default_segment_number=0,
    indexing_threshold=10_000,
    flush_interval_sec=5,
)
WAL = pb.WalConfigDiff(wal_capacity_mb=32, wal_segments_ahead=0, wal_retain_closed=1)

_DISTANCES = ("Cosine", "Euclid", "Dot", "Manhattan")
_LARGEST_VECTOR = 65_536


def merge(base: Any, change: Any) -> Any:
    """Return a copy of ``base`` with the fields that ``change`` sets."""
    result = type(base)()
    result.CopyFrom(base)
    result.MergeFrom(change)
    return result


def build_config(request: pb.CreateCollection) -> pb.CollectionConfig:
    """Return the whole configuration of a new collection, as ``Get`` will report it.

    Raises InvalidArgument for a request without vectors, a size outside 1..65,536 or an unknown distance.
    """
    _check_vectors(request)
    params = pb.CollectionParams(
        shard_number=request.shard_number or 1,
        replication_factor=request.replication_factor or 1,
        write_consistency_factor=request.write_consistency_factor or 1,
        on_disk_payload=request.on_disk_payload if request.HasField("on_disk_payload") else True,
    )
    for request_field, params_field in (
        ("vectors_config", "vectors_config"),
        ("sparse_vectors_config", "sparse_vectors_config"),
        ("payload", "payload"),
        ("id_tracker", "id_tracker"),
    ):
        if request.HasField(request_field):
            getattr(params, params_field).CopyFrom(getattr(request, request_field))
    if request.HasField("sharding_method"):
        params.sharding_method = request.sharding_method
    config = pb.CollectionConfig(
        params=params,
        hnsw_config=merge(HNSW, request.hnsw_config),
        optimizer_config=merge(OPTIMIZER, request.optimizers_config),
        wal_config=merge(WAL, request.wal_config),
        metadata=request.metadata,
    )
    for name in ("quantization_config", "strict_mode_config"):
        if request.HasField(name):
            getattr(config, name).CopyFrom(getattr(request, name))
    return config


def apply_update(config: pb.CollectionConfig, request: pb.UpdateCollection) -> pb.CollectionConfig:
    """Return the configuration after ``Update``. Fields that the request does not set keep their values."""
    result = merge(config, pb.CollectionConfig(metadata=request.metadata))
    for request_field, target in (
        ("optimizers_config", result.optimizer_config),
        ("hnsw_config", result.hnsw_config),
        ("params", result.params),
        ("strict_mode_config", result.strict_mode_config),
        ("sparse_vectors_config", result.params.sparse_vectors_config),
    ):
        if request.HasField(request_field):
            _merge_shared_fields(target, getattr(request, request_field))
    if request.HasField("quantization_config"):
        _set_quantization(result, request.quantization_config)
    if request.HasField("vectors_config"):
        changes = _params_by_name(request.vectors_config)
        for name, params in _params_by_name(result.params.vectors_config).items():
            if name in changes:
                _set_quantization(params, changes[name].quantization_config)
                change = pb.VectorParamsDiff()
                change.CopyFrom(changes[name])
                change.ClearField("quantization_config")
                _merge_shared_fields(params, change)
    return result


def engine_config(config: pb.CollectionConfig) -> edge.EdgeConfig:
    """Return the part of the configuration that the engine uses. The rest (shards, replicas …) is only reported."""
    optimizer = config.optimizer_config
    return edge.EdgeConfig(
        vectors={
            name: _dense(params, config) for name, params in _params_by_name(config.params.vectors_config).items()
        },
        sparse_vectors={name: _sparse(params) for name, params in config.params.sparse_vectors_config.map.items()}
        or None,
        on_disk_payload=config.params.on_disk_payload,
        payload_memory=_memory(config.params.payload),
        id_tracker_memory=_memory(config.params.id_tracker),
        hnsw_config=_hnsw(config.hnsw_config),
        quantization_config=_quantization(config),
        optimizers=edge.EdgeOptimizersConfig(
            deleted_threshold=_optional_field(optimizer, "deleted_threshold"),
            vacuum_min_vector_number=_optional_field(optimizer, "vacuum_min_vector_number"),
            default_segment_number=_optional_field(optimizer, "default_segment_number"),
            max_segment_size=_optional_field(optimizer, "max_segment_size"),
            indexing_threshold=_optional_field(optimizer, "indexing_threshold"),
        ),
        wal_enabled=True,  # without it, a kill loses acknowledged writes since the last flush
    )


def dense_params(config: pb.CollectionConfig) -> dict[str, pb.VectorParams]:
    """Return the parameters of the dense vectors by name; the unnamed vector is ``""``."""
    return _params_by_name(config.params.vectors_config)


def _check_vectors(request: pb.CreateCollection) -> None:
    vectors = _params_by_name(request.vectors_config)
    if not vectors and not request.sparse_vectors_config.map:
        raise InvalidArgument("A collection needs at least one vector")
    for name, params in vectors.items():
        if not 1 <= params.size <= _LARGEST_VECTOR:
            raise InvalidArgument(f"Vector `{name}` has size {params.size}; it must be from 1 to {_LARGEST_VECTOR}")
        if not 1 <= params.distance <= len(_DISTANCES):
            raise InvalidArgument(f"Vector `{name}` has an unknown distance")


def _params_by_name(vectors: Any) -> dict[str, Any]:
    kind = vectors.WhichOneof("config")
    if kind == "params_map":
        return dict(vectors.params_map.map)
    return {"": vectors.params} if kind == "params" else {}


def _merge_shared_fields(target: Any, change: Any) -> None:
    """Copy the fields that both message types have, which is the meaning of Qdrant's ``…Diff`` messages."""
    target_fields = target.DESCRIPTOR.fields_by_name
    for field, value in change.ListFields():
        if field.name not in target_fields:
            continue
        if field.message_type is None:
            setattr(target, field.name, value)
        else:
            getattr(target, field.name).MergeFrom(value)


def _set_quantization(target: Any, change: pb.QuantizationConfigDiff) -> None:
    kind = change.WhichOneof("quantization")
    if kind is None:
        return
    target.ClearField("quantization_config")
    if kind != "disabled":
        getattr(target.quantization_config, kind).CopyFrom(getattr(change, kind))


def _optional_field(message: Any, field: str) -> Any:
    return getattr(message, field) if message.HasField(field) else None


def _memory(message: Any) -> edge.Memory | None:
    memory = _optional_field(message, "memory")
    return getattr(edge.Memory, pb.Memory.Name(memory)) if memory else None


def _hnsw(message: pb.HnswConfigDiff) -> edge.HnswIndexConfig:
    return edge.HnswIndexConfig(
        m=message.m,
        ef_construct=message.ef_construct,
        full_scan_threshold=message.full_scan_threshold,
        max_indexing_threads=message.max_indexing_threads,
        on_disk=_optional_field(message, "on_disk"),
        payload_m=_optional_field(message, "payload_m"),
        inline_storage=_optional_field(message, "inline_storage"),
        memory=_memory(message),
    )


def _dense(params: pb.VectorParams, config: pb.CollectionConfig) -> edge.EdgeVectorParams:
    own_hnsw = merge(config.hnsw_config, params.hnsw_config) if params.HasField("hnsw_config") else None
    return edge.EdgeVectorParams(
        size=params.size,
        distance=getattr(edge.Distance, pb.Distance.Name(params.distance)),
        on_disk=_optional_field(params, "on_disk"),
        multivector_config=edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim)
        if params.HasField("multivector_config")
        else None,
        datatype=_datatype(params),
        quantization_config=_quantization(params),
        hnsw_config=_hnsw(own_hnsw) if own_hnsw else None,
        memory=_memory(params),
    )


def _sparse(params: pb.SparseVectorParams) -> edge.EdgeSparseVectorParams:
    return edge.EdgeSparseVectorParams(
        full_scan_threshold=_optional_field(params.index, "full_scan_threshold"),
        on_disk=_optional_field(params.index, "on_disk"),
        modifier=edge.Modifier.Idf if params.modifier == pb.Modifier.Idf else None,
        datatype=_datatype(params.index),
        memory=_memory(params.index),
    )


def _datatype(message: Any) -> edge.VectorStorageDatatype | None:
    if not message.datatype:  # absent or Default
        return None
    name = pb.Datatype.Name(message.datatype)
    if not hasattr(edge.VectorStorageDatatype, name):
        raise Unimplemented(f"vectors stored as {name}")
    datatype: edge.VectorStorageDatatype = getattr(edge.VectorStorageDatatype, name)
    return datatype


def _quantization(owner: Any) -> Any:
    if not owner.HasField("quantization_config"):
        return None
    kind = owner.quantization_config.WhichOneof("quantization")
    if kind is None:
        return None
    message = getattr(owner.quantization_config, kind)
    return _QUANTIZATIONS[kind](
        message, {"always_ram": _optional_field(message, "always_ram"), "memory": _memory(message)}
    )


def _binary(message: pb.BinaryQuantization, storage_options: Mapping[str, Any]) -> edge.BinaryQuantizationConfig:
    encoding = pb.BinaryQuantizationEncoding.Name(message.encoding)
    query = pb.BinaryQuantizationQueryEncoding.Setting.Name(message.query_encoding.setting)
    return edge.BinaryQuantizationConfig(
        encoding=getattr(edge.BinaryQuantizationEncoding, encoding),
        query_encoding=getattr(edge.BinaryQuantizationQueryEncoding, query),
        **storage_options,
    )


_QUANTIZATIONS: dict[str, Callable[[Any, Mapping[str, Any]], Any]] = {
    "scalar": lambda message, storage_options: edge.ScalarQuantizationConfig(
        edge.ScalarType.Int8, quantile=_optional_field(message, "quantile"), **storage_options
    ),
    "product": lambda message, storage_options: edge.ProductQuantizationConfig(
        getattr(edge.CompressionRatio, pb.CompressionRatio.Name(message.compression).upper()), **storage_options
    ),
    "binary": _binary,
    "turboquant": lambda message, storage_options: edge.TurboQuantQuantizationConfig(
        bits=getattr(edge.TurboQuantBitSize, pb.TurboQuantBitSize.Name(message.bits)), **storage_options
    ),
}
