"""Payload values: protobuf's JSON with integers <-> plain Python."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from qdrant_client import grpc as pb

from embedded.engine.codec.status import invalid, variant

_INT64 = range(-(2**63), 2**63)
_PLAIN = frozenset({"string_value", "bool_value", "integer_value"})


def to_payload(fields: Mapping[str, pb.Value]) -> dict[str, Any]:
    """A payload as a dict of JSON-like Python values. Refuses NaN and infinities, which JSON lacks."""
    # By key, because items() of a message's map is a slow generator.
    return {key: _to_python(fields[key]) for key in fields}


def _to_python(value: pb.Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind in _PLAIN:
        return getattr(value, kind)
    if kind == "double_value":
        if not math.isfinite(value.double_value):
            raise invalid(f"{value.double_value} is no payload number")
        return value.double_value
    if kind == "list_value":
        return [_to_python(item) for item in value.list_value.values]
    if kind == "struct_value":
        return to_payload(value.struct_value.fields)
    variant(value, "kind")  # refuses a value without a kind
    return None


def fill_payload(fields: Any, payload: Mapping[str, Any] | None) -> None:
    """Write a payload into a protobuf map of Value."""
    for key, value in (payload or {}).items():
        _fill(fields[key], value)


def _fill(out: pb.Value, value: Any) -> None:
    if isinstance(value, str):
        out.string_value = value
    elif isinstance(value, bool):
        out.bool_value = value
    elif isinstance(value, int):
        # The wire has no unsigned integers. As on a server, values beyond int64 are sent as floats.
        if value in _INT64:
            out.integer_value = value
        else:
            out.double_value = float(value)
    elif isinstance(value, float):
        out.double_value = value
    elif value is None:
        out.null_value = pb.NULL_VALUE
    elif isinstance(value, dict):
        out.struct_value.SetInParent()
        fill_payload(out.struct_value.fields, value)
    else:
        out.list_value.SetInParent()
        for item in value:
            _fill(out.list_value.values.add(), item)
