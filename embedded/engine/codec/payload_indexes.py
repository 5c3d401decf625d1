"""Payload indexes: request -> the engine's parameters, and the engine's indexes -> response."""

from __future__ import annotations

from typing import Any

import qdrant_edge as edge
from qdrant_client import grpc as pb

from embedded.engine.codec.status import invalid, only, unsupported, variant

# Field types of a request, by name: the index's class in the engine and the parameters that it takes.
_KINDS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "keyword": (edge.KeywordIndexParams, ("is_tenant", "on_disk", "enable_hnsw")),
    "integer": (edge.IntegerIndexParams, ("lookup", "range", "is_principal", "on_disk", "enable_hnsw")),
    "float": (edge.FloatIndexParams, ("is_principal", "on_disk", "enable_hnsw")),
    "bool": (edge.BoolIndexParams, ("on_disk", "enable_hnsw")),
    "datetime": (edge.DatetimeIndexParams, ("is_principal", "on_disk", "enable_hnsw")),
    "uuid": (edge.UuidIndexParams, ("is_tenant", "on_disk", "enable_hnsw")),
}


def to_schema(request: pb.CreateFieldIndexCollection) -> Any:
    """The engine's parameters for the requested index. Refuses unsupported kinds."""
    if request.HasField("field_index_params"):
        which = variant(request.field_index_params, "index_params")
        kind = which.removesuffix("_index_params")
        params = getattr(request.field_index_params, which)
    elif request.HasField("field_type"):
        kind = pb.FieldType.Name(request.field_type).removeprefix("FieldType").lower()
        params = None
    else:
        raise invalid(f"an index on {request.field_name!r} needs a field_type or field_index_params")
    if kind not in _KINDS:
        raise unsupported(f"a payload index of type {kind}")
    make, fields = _KINDS[kind]
    if params is None:
        return make()
    only(params, *fields)
    return make(**{field.name: value for field, value in params.ListFields()})


def fill_schema(out: Any, schema: dict[str, edge.PayloadIndexInfo]) -> None:
    """Write the engine's payload indexes into a protobuf map of PayloadSchemaInfo."""
    for name, info in schema.items():
        # The engine's enums print as Class.Member, with the member's name of protobuf.
        kind = str(info.data_type).rpartition(".")[2]
        entry = out[name]
        entry.data_type = pb.PayloadSchemaType.Value(kind)
        entry.points = info.points
        if kind.lower() in _KINDS and info.params is not None:
            params = getattr(entry.params, f"{kind.lower()}_index_params")
            params.SetInParent()
            for field in _KINDS[kind.lower()][1]:
                value = getattr(info.params, field)
                if value is not None:
                    setattr(params, field, value)
