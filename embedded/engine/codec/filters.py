"""Filters: protobuf -> the engine's own. Unsupported fields are refused by name."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import qdrant_edge as edge
from qdrant_client import grpc as pb

from embedded.engine.codec.points import to_ids
from embedded.engine.codec.status import invalid, only, unsupported, variant


def to_filter(message: pb.Filter) -> edge.Filter:
    """A filter with all its conditions."""
    min_should = None
    if message.HasField("min_should"):
        min_should = edge.MinShould(_all(message.min_should.conditions), message.min_should.min_count)
    return edge.Filter(
        must=_all(message.must) or None,
        should=_all(message.should) or None,
        must_not=_all(message.must_not) or None,
        min_should=min_should,
    )


def optional_filter(request: Any, field: str = "filter") -> edge.Filter | None:
    """The filter of a request that may have one."""
    return to_filter(getattr(request, field)) if request.HasField(field) else None


def _all(conditions: Any) -> list[Any]:
    return [_condition(condition) for condition in conditions]


def _condition(message: pb.Condition) -> Any:
    match variant(message, "condition_one_of"):
        case "field":
            return _field(message.field)
        case "has_id":
            return edge.HasIdCondition(set(to_ids(message.has_id.has_id)))
        case "filter":
            return to_filter(message.filter)
        case "is_empty":
            return edge.IsEmptyCondition(message.is_empty.key)
        case "is_null":
            return edge.IsNullCondition(message.is_null.key)
        case "has_vector":
            return edge.HasVectorCondition(message.has_vector.has_vector)
        case "nested":
            return edge.NestedCondition(message.nested.key, to_filter(message.nested.filter))
        case kind:
            raise unsupported(f"Condition.{kind}")


def _field(message: pb.FieldCondition) -> edge.FieldCondition:
    tests = [field.name for field, _ in message.ListFields() if field.name != "key"]
    if len(tests) != 1:
        raise invalid(f"a condition on {message.key!r} needs exactly one test, and this one has {len(tests)}: {tests}")
    match tests[0]:
        case "match":
            return edge.FieldCondition(message.key, match=_match(message.match))
        case "range":
            return edge.FieldCondition(message.key, range=edge.RangeFloat(**_bounds(message.range)))
        case "datetime_range":
            bounds = {name: stamp.ToJsonString() for name, stamp in _bounds(message.datetime_range).items()}
            return edge.FieldCondition(message.key, range=edge.RangeDateTime(**bounds))
        case "values_count":
            return edge.FieldCondition(message.key, values_count=edge.ValuesCount(**_bounds(message.values_count)))
        case "is_empty":
            return edge.FieldCondition(message.key, is_empty=message.is_empty)
        case "is_null":
            return edge.FieldCondition(message.key, is_null=message.is_null)
        case kind:
            raise unsupported(f"FieldCondition.{kind}")


def _bounds(message: Any) -> dict[str, Any]:
    only(message, "lt", "gt", "gte", "lte")
    return {field.name: value for field, value in message.ListFields()}


def _match(message: pb.Match) -> Any:
    match variant(message, "match_value"):
        case "keyword" | "integer" as kind:
            return edge.MatchValue(getattr(message, kind))
        case "boolean":
            # The binding reads a Python bool as an integer, which matches nothing.
            return edge.MatchValue(cast(bool, np.bool_(message.boolean)))
        case "keywords":
            return edge.MatchAny(list(message.keywords.strings))
        case "integers":
            return edge.MatchAny(list(message.integers.integers))
        case "except_keywords":
            return edge.MatchExcept(list(message.except_keywords.strings))
        case "except_integers":
            return edge.MatchExcept(list(message.except_integers.integers))
        case "text":
            return edge.MatchText(message.text)
        case "text_any":
            return edge.MatchTextAny(message.text_any)
        case "phrase":
            return edge.MatchPhrase(message.phrase)
        case "prefix":
            return edge.MatchPrefix(message.prefix)
        case "substring":
            return edge.MatchSubstring(message.substring)
        case kind:
            raise unsupported(f"Match.{kind}")
