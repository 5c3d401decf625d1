"""A collection's configuration: create request -> configuration for clients -> configuration of the engine."""

from __future__ import annotations

from typing import Any

import qdrant_edge as edge
from qdrant_client import grpc as pb

from embedded.engine.codec.points import Dimensions
from embedded.engine.codec.status import check_name, invalid, only, unsupported

_DISTANCES = {
    pb.Cosine: edge.Distance.Cosine,
    pb.Euclid: edge.Distance.Euclid,
    pb.Dot: edge.Distance.Dot,
    pb.Manhattan: edge.Distance.Manhattan,
}
_DATATYPES = {
    pb.Float32: edge.VectorStorageDatatype.Float32,
    pb.Float16: edge.VectorStorageDatatype.Float16,
    pb.Uint8: edge.VectorStorageDatatype.Uint8,
}

# The default quantization: four bits a number, with rescoring of the best (see embedded.engine.codec.queries). Unlike a
# graph, it needs no building. Short vectors are not quantized: that saves little and would lose precision.
_FOUR_BITS = edge.TurboQuantQuantizationConfig(always_ram=True, bits=edge.TurboQuantBitSize.Bits4)
_MIN_DIM = 64


def to_config(request: pb.CreateCollection) -> pb.CollectionConfig:
    """The configuration of a create request, completed by the server's defaults.

    Shards, replicas, consistency and the write-ahead log's size are stored and shown without effect, because a
    collection has one shard on one machine.
    """
    only(
        request, "collection_name", "hnsw_config", "wal_config", "optimizers_config", "shard_number", "on_disk_payload",
        "timeout", "vectors_config", "replication_factor", "write_consistency_factor", "quantization_config",
        "sparse_vectors_config", "metadata", "sharding_method",
    )  # fmt: skip
    if request.sharding_method == pb.Custom:
        raise unsupported("CreateCollection.sharding_method Custom")
    if request.optimizers_config.prevent_unoptimized:
        raise unsupported("OptimizersConfigDiff.prevent_unoptimized")
    config = pb.CollectionConfig()
    config.params.shard_number = request.shard_number or 1
    config.params.replication_factor = request.replication_factor or 1
    config.params.write_consistency_factor = request.write_consistency_factor or 1
    config.params.on_disk_payload = request.on_disk_payload if request.HasField("on_disk_payload") else True
    config.params.vectors_config.CopyFrom(request.vectors_config)
    if request.HasField("sparse_vectors_config"):
        config.params.sparse_vectors_config.CopyFrom(request.sparse_vectors_config)
    hnsw = pb.HnswConfigDiff(m=16, ef_construct=100, full_scan_threshold=10_000, max_indexing_threads=0)
    hnsw.MergeFrom(request.hnsw_config)
    config.hnsw_config.CopyFrom(hnsw)
    optimizer = pb.OptimizersConfigDiff(
        deleted_threshold=0.2, vacuum_min_vector_number=1000, default_segment_number=0, indexing_threshold=10_000,
        flush_interval_sec=5,
    )  # fmt: skip
    optimizer.MergeFrom(request.optimizers_config)
    config.optimizer_config.CopyFrom(optimizer)
    wal = pb.WalConfigDiff(wal_capacity_mb=32, wal_segments_ahead=0)
    wal.MergeFrom(request.wal_config)
    config.wal_config.CopyFrom(wal)
    if request.HasField("quantization_config"):
        config.quantization_config.CopyFrom(request.quantization_config)
    for key, value in request.metadata.items():
        config.metadata[key].CopyFrom(value)
    return config


def dense_params(config: pb.CollectionConfig) -> dict[str, pb.VectorParams]:
    """The dense vectors by name; the unnamed one is ""."""
    vectors = config.params.vectors_config
    match vectors.WhichOneof("config"):
        case "params":
            return {"": vectors.params}
        case "params_map":
            return dict(vectors.params_map.map)
        case _:
            return {}


def dimensions(config: pb.CollectionConfig) -> Dimensions:
    """Every vector's dimension by name; None for a sparse one."""
    dimensions: dict[str, int | None] = {name: params.size for name, params in dense_params(config).items()}
    dimensions.update(dict.fromkeys(config.params.sparse_vectors_config.map))
    return dimensions


def to_edge(config: pb.CollectionConfig) -> edge.EdgeConfig:
    """The engine's configuration. Refuses unsupported settings."""
    own_bits = not config.HasField("quantization_config")
    dense = {name: _to_edge_vector(name, params, own_bits=own_bits) for name, params in dense_params(config).items()}
    sparse = {name: _to_edge_sparse(params) for name, params in config.params.sparse_vectors_config.map.items()}
    if not dense and not sparse:
        raise invalid("a collection needs at least one vector, dense or sparse")
    for name in filter(None, [*dense, *sparse]):
        check_name(name)
    optimizer = config.optimizer_config
    return edge.EdgeConfig(
        vectors=dense or None,
        sparse_vectors=sparse or None,
        on_disk_payload=config.params.on_disk_payload,
        hnsw_config=_to_edge_hnsw(config.hnsw_config),
        quantization_config=_to_edge_quantization(config),
        optimizers=edge.EdgeOptimizersConfig(
            deleted_threshold=optimizer.deleted_threshold,
            vacuum_min_vector_number=optimizer.vacuum_min_vector_number,
            default_segment_number=optimizer.default_segment_number or None,
            max_segment_size=optimizer.max_segment_size or None,
            indexing_threshold=optimizer.indexing_threshold,
        ),
        # The binding keeps the interpreter's lock during a search, so no two run at once. More threads only wake each
        # other, which adds a third to the cost of a search.
        max_search_threads=1,
    )


def _to_edge_vector(name: str, params: pb.VectorParams, *, own_bits: bool) -> edge.EdgeVectorParams:
    only(params, "size", "distance", "on_disk", "datatype", "hnsw_config")
    if not 1 <= params.size <= 65_536:
        raise invalid(f"vector {name!r} has size {params.size}; give it one of 1 to 65536")
    if params.distance not in _DISTANCES:
        raise invalid(f"vector {name!r} has no distance; give it Cosine, Dot, Euclid or Manhattan")
    if params.datatype != pb.Default and params.datatype not in _DATATYPES:
        raise unsupported(f"VectorParams.datatype {pb.Datatype.Name(params.datatype)}")
    return edge.EdgeVectorParams(
        size=params.size,
        distance=_DISTANCES[params.distance],
        on_disk=params.on_disk if params.HasField("on_disk") else None,
        datatype=_DATATYPES.get(params.datatype),
        quantization_config=_FOUR_BITS if own_bits and params.size >= _MIN_DIM else None,
        hnsw_config=_to_edge_hnsw(params.hnsw_config) if params.HasField("hnsw_config") else None,
    )


def _to_edge_sparse(params: pb.SparseVectorParams) -> edge.EdgeSparseVectorParams:
    only(params, "index", "modifier")
    only(params.index, "full_scan_threshold", "on_disk")
    return edge.EdgeSparseVectorParams(
        full_scan_threshold=params.index.full_scan_threshold or None,
        on_disk=params.index.on_disk if params.index.HasField("on_disk") else None,
        modifier=edge.Modifier.Idf if params.modifier == pb.Idf else None,
    )


def _to_edge_hnsw(hnsw: pb.HnswConfigDiff) -> edge.HnswIndexConfig:
    only(hnsw, "m", "ef_construct", "full_scan_threshold", "max_indexing_threads", "on_disk", "payload_m")
    return edge.HnswIndexConfig(
        m=hnsw.m if hnsw.HasField("m") else 16,
        ef_construct=hnsw.ef_construct or 100,
        full_scan_threshold=hnsw.full_scan_threshold if hnsw.HasField("full_scan_threshold") else 10_000,
        max_indexing_threads=hnsw.max_indexing_threads,
        on_disk=hnsw.on_disk if hnsw.HasField("on_disk") else None,
        payload_m=hnsw.payload_m if hnsw.HasField("payload_m") else None,
    )


def _to_edge_quantization(config: pb.CollectionConfig) -> Any:
    if not config.HasField("quantization_config"):
        return None
    match config.quantization_config.WhichOneof("quantization"):
        case "scalar":
            scalar = config.quantization_config.scalar
            only(scalar, "type", "quantile", "always_ram")
            return edge.ScalarQuantizationConfig(
                edge.ScalarType.Int8,
                quantile=scalar.quantile if scalar.HasField("quantile") else None,
                always_ram=scalar.always_ram if scalar.HasField("always_ram") else None,
            )
        case "binary":
            binary = config.quantization_config.binary
            only(binary, "always_ram")
            return edge.BinaryQuantizationConfig(always_ram=binary.always_ram)
        case kind:
            raise unsupported(f"QuantizationConfig.{kind}")
