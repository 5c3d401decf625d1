"""Converts payload values between plain Python and Qdrant's messages, in place to avoid copies."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from qdrant_client import grpc

from catalog.domain.state import Payload

_PLAIN = frozenset({"string_value", "bool_value", "integer_value", "double_value"})


def payload_from(fields: Mapping[str, grpc.Value], only: Collection[str] | None = None) -> Payload:
    """A payload as plain Python; with `only`, restricted to these fields."""
    # By name, because items() of a message's map is a slow Python generator.
    return {name: plain(fields[name]) for name in fields if only is None or name in only}


def fill(fields: Any, payload: Mapping[str, Any]) -> None:
    """Write a payload into a map of messages. Raises ValueError or TypeError if a value cannot be stored."""
    for name, value in payload.items():
        _set(fields[name], value)


def plain(value: grpc.Value) -> Any:
    """One payload value as plain Python."""
    kind = value.WhichOneof("kind")
    if kind in _PLAIN:
        return getattr(value, kind)
    if kind == "list_value":
        return [plain(item) for item in value.list_value.values]
    return payload_from(value.struct_value.fields) if kind == "struct_value" else None


def _set(out: grpc.Value, value: Any) -> None:
    if isinstance(value, str):
        out.string_value = value
    elif isinstance(value, bool):  # before int, because bool is a subclass
        out.bool_value = value
    elif isinstance(value, int):
        out.integer_value = value
    elif isinstance(value, float):
        out.double_value = value
    elif value is None:
        out.null_value = grpc.NullValue.NULL_VALUE
    elif isinstance(value, Mapping):
        out.ClearField("struct_value")  # the overwritten value may have other fields
        out.struct_value.SetInParent()
        fill(out.struct_value.fields, value)
    elif isinstance(value, list | tuple):
        out.ClearField("list_value")
        out.list_value.SetInParent()
        for item in value:
            _set(out.list_value.values.add(), item)
    else:
        raise TypeError(f"{type(value).__name__} is not a payload value")
