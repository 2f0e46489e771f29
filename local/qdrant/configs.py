"""Collection settings: what Qdrant's protocol says, what the engine takes, and the defaults of neither being said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import qdrant_edge as edge

from email_sender.adapters.qdrant.wire import pb
from local.qdrant.errors import Invalid, Unsupported

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


def merged(base: Any, change: Any) -> Any:
    """``base`` with what ``change`` says laid over it; neither is touched."""
    result = type(base)()
    result.CopyFrom(base)
    result.MergeFrom(change)
    return result


def config_of(request: pb.CreateCollection) -> pb.CollectionConfig:
    """The whole configuration of a new collection, as ``Get`` will report it.

    Raises Invalid for a request without vectors, a size outside 1..65,536 or a distance that is none.
    """
    _check(request)
    params = pb.CollectionParams(
        shard_number=request.shard_number or 1,
        replication_factor=request.replication_factor or 1,
        write_consistency_factor=request.write_consistency_factor or 1,
        on_disk_payload=request.on_disk_payload if request.HasField("on_disk_payload") else True,
    )
    for theirs, ours in (
        ("vectors_config", "vectors_config"),
        ("sparse_vectors_config", "sparse_vectors_config"),
        ("payload", "payload"),
        ("id_tracker", "id_tracker"),
    ):
        if request.HasField(theirs):
            getattr(params, ours).CopyFrom(getattr(request, theirs))
    if request.HasField("sharding_method"):
        params.sharding_method = request.sharding_method
    config = pb.CollectionConfig(
        params=params,
        hnsw_config=merged(HNSW, request.hnsw_config),
        optimizer_config=merged(OPTIMIZER, request.optimizers_config),
        wal_config=merged(WAL, request.wal_config),
        metadata=request.metadata,
    )
    for name in ("quantization_config", "strict_mode_config"):
        if request.HasField(name):
            getattr(config, name).CopyFrom(getattr(request, name))
    return config


def updated(config: pb.CollectionConfig, request: pb.UpdateCollection) -> pb.CollectionConfig:
    """The configuration after ``Update``: what the request leaves out stays."""
    result = merged(config, pb.CollectionConfig(metadata=request.metadata))
    for theirs, ours in (
        ("optimizers_config", result.optimizer_config),
        ("hnsw_config", result.hnsw_config),
        ("params", result.params),
        ("strict_mode_config", result.strict_mode_config),
        ("sparse_vectors_config", result.params.sparse_vectors_config),
    ):
        if request.HasField(theirs):
            _lay(ours, getattr(request, theirs))
    if request.HasField("quantization_config"):
        _quantize(result, request.quantization_config)
    if request.HasField("vectors_config"):
        changes = _named(request.vectors_config)
        for name, params in _named(result.params.vectors_config).items():
            if name in changes:
                _quantize(params, changes[name].quantization_config)
                change = pb.VectorParamsDiff()
                change.CopyFrom(changes[name])
                change.ClearField("quantization_config")
                _lay(params, change)
    return result


def engine_config(config: pb.CollectionConfig) -> edge.EdgeConfig:
    """The engine's share of the configuration. The rest (shards, replicas, strict mode) is only reported."""
    optimizer = config.optimizer_config
    return edge.EdgeConfig(
        vectors={name: _dense(params, config) for name, params in _named(config.params.vectors_config).items()},
        sparse_vectors={name: _sparse(params) for name, params in config.params.sparse_vectors_config.map.items()}
        or None,
        on_disk_payload=config.params.on_disk_payload,
        payload_memory=_memory(config.params.payload),
        id_tracker_memory=_memory(config.params.id_tracker),
        hnsw_config=_hnsw(config.hnsw_config),
        quantization_config=_quantization(config),
        optimizers=edge.EdgeOptimizersConfig(
            deleted_threshold=_said(optimizer, "deleted_threshold"),
            vacuum_min_vector_number=_said(optimizer, "vacuum_min_vector_number"),
            default_segment_number=_said(optimizer, "default_segment_number"),
            max_segment_size=_said(optimizer, "max_segment_size"),
            indexing_threshold=_said(optimizer, "indexing_threshold"),
        ),
        wal_enabled=True,  # without it a kill loses what was acknowledged since the last flush
    )


def dense_params(config: pb.CollectionConfig) -> dict[str, pb.VectorParams]:
    """Dense vectors by name; the unnamed one is ``""``."""
    return _named(config.params.vectors_config)


def _check(request: pb.CreateCollection) -> None:
    vectors = _named(request.vectors_config)
    if not vectors and not request.sparse_vectors_config.map:
        raise Invalid("a collection needs at least one vector")
    for name, params in vectors.items():
        if not 1 <= params.size <= _LARGEST_VECTOR:
            raise Invalid(f"vector `{name}`: size {params.size} must be from 1 to {_LARGEST_VECTOR}")
        if not 1 <= params.distance <= len(_DISTANCES):
            raise Invalid(f"vector `{name}`: unknown distance")


def _named(vectors: Any) -> dict[str, Any]:
    kind = vectors.WhichOneof("config")
    if kind == "params_map":
        return dict(vectors.params_map.map)
    return {"": vectors.params} if kind == "params" else {}


def _lay(target: Any, change: Any) -> None:
    """Merge messages of different types over the fields that they share, as Qdrant's ``…Diff`` messages mean it."""
    known = target.DESCRIPTOR.fields_by_name
    for field, value in change.ListFields():
        if field.name not in known:
            continue
        if field.message_type is None:
            setattr(target, field.name, value)
        else:
            getattr(target, field.name).MergeFrom(value)


def _quantize(target: Any, change: pb.QuantizationConfigDiff) -> None:
    kind = change.WhichOneof("quantization")
    if kind is None:
        return
    target.ClearField("quantization_config")
    if kind != "disabled":
        getattr(target.quantization_config, kind).CopyFrom(getattr(change, kind))


def _said(message: Any, field: str) -> Any:
    return getattr(message, field) if message.HasField(field) else None


def _memory(message: Any) -> edge.Memory | None:
    wanted = _said(message, "memory")
    return getattr(edge.Memory, pb.Memory.Name(wanted)) if wanted else None


def _hnsw(message: pb.HnswConfigDiff) -> edge.HnswIndexConfig:
    return edge.HnswIndexConfig(
        m=message.m,
        ef_construct=message.ef_construct,
        full_scan_threshold=message.full_scan_threshold,
        max_indexing_threads=message.max_indexing_threads,
        on_disk=_said(message, "on_disk"),
        payload_m=_said(message, "payload_m"),
        inline_storage=_said(message, "inline_storage"),
        memory=_memory(message),
    )


def _dense(params: pb.VectorParams, config: pb.CollectionConfig) -> edge.EdgeVectorParams:
    own_hnsw = merged(config.hnsw_config, params.hnsw_config) if params.HasField("hnsw_config") else None
    return edge.EdgeVectorParams(
        size=params.size,
        distance=getattr(edge.Distance, pb.Distance.Name(params.distance)),
        on_disk=_said(params, "on_disk"),
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
        full_scan_threshold=_said(params.index, "full_scan_threshold"),
        on_disk=_said(params.index, "on_disk"),
        modifier=edge.Modifier.Idf if params.modifier == pb.Modifier.Idf else None,
        datatype=_datatype(params.index),
        memory=_memory(params.index),
    )


def _datatype(message: Any) -> edge.VectorStorageDatatype | None:
    if not message.datatype:  # absent or Default
        return None
    name = pb.Datatype.Name(message.datatype)
    if not hasattr(edge.VectorStorageDatatype, name):
        raise Unsupported(f"vectors stored as {name}")
    datatype: edge.VectorStorageDatatype = getattr(edge.VectorStorageDatatype, name)
    return datatype


def _quantization(owner: Any) -> Any:
    if not owner.HasField("quantization_config"):
        return None
    kind = owner.quantization_config.WhichOneof("quantization")
    if kind is None:
        return None
    message = getattr(owner.quantization_config, kind)
    return _QUANTIZATIONS[kind](message, {"always_ram": _said(message, "always_ram"), "memory": _memory(message)})


def _binary(message: pb.BinaryQuantization, placed: Mapping[str, Any]) -> edge.BinaryQuantizationConfig:
    encoding = pb.BinaryQuantizationEncoding.Name(message.encoding)
    query = pb.BinaryQuantizationQueryEncoding.Setting.Name(message.query_encoding.setting)
    return edge.BinaryQuantizationConfig(
        encoding=getattr(edge.BinaryQuantizationEncoding, encoding),
        query_encoding=getattr(edge.BinaryQuantizationQueryEncoding, query),
        **placed,
    )


_QUANTIZATIONS: dict[str, Callable[[Any, Mapping[str, Any]], Any]] = {
    "scalar": lambda message, placed: edge.ScalarQuantizationConfig(
        edge.ScalarType.Int8, quantile=_said(message, "quantile"), **placed
    ),
    "product": lambda message, placed: edge.ProductQuantizationConfig(
        getattr(edge.CompressionRatio, pb.CompressionRatio.Name(message.compression).upper()), **placed
    ),
    "binary": _binary,
    "turboquant": lambda message, placed: edge.TurboQuantQuantizationConfig(
        bits=getattr(edge.TurboQuantBitSize, pb.TurboQuantBitSize.Name(message.bits)), **placed
    ),
}
