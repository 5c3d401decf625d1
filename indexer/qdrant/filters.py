"""Converts the conditions of a query to Qdrant filters."""

from __future__ import annotations

import re
from collections.abc import Sequence

from qdrant_client import grpc

from catalog.domain.filters import AnyOf, Condition, Exists, Not
from catalog.domain.product import ProductKey, Scalar
from catalog.domain.state import ATTRIBUTE
from catalog.errors import InvalidInput
from indexer.qdrant.points import point_id

# Above this, neighbouring integers are equal as doubles, which ranges compare.
EXACT = 2**53

# Any other attribute name must be quoted in a path, and a name with a quote cannot be.
PLAIN = re.compile(r"[A-Za-z0-9_-]+")


def live_and(conditions: Sequence[Condition], *, without: Sequence[ProductKey] = ()) -> grpc.Filter:
    """Matches the live products that satisfy all conditions and are not in `without`.

    Raises InvalidInput if a value cannot be stored in a point.
    """
    try:
        must = [_match("live", grpc.Match(boolean=True)), *(_condition(c) for c in conditions)]
        return grpc.Filter(must=must, must_not=[_has_id(without)] if without else [])
    except ValueError as error:  # lone surrogates, integers beyond 64 bits
        raise InvalidInput(f"the filter has a value that no product can have: {error}") from error


def path_of(field: str) -> str:
    """The Qdrant path of a payload field. Raises InvalidInput if an attribute name cannot be part of a path."""
    name = field.removeprefix(ATTRIBUTE)
    if name == field or PLAIN.fullmatch(name):
        return field
    if not name or '"' in name:
        raise InvalidInput(f"the attribute {name!r} cannot be filtered on: its name is empty or has a quote in it")
    return f'{ATTRIBUTE}"{name}"'


def field_of(path: str) -> str:
    """The payload field of a path; the inverse of `path_of`."""
    name = path.removeprefix(ATTRIBUTE)
    return path if name == path else ATTRIBUTE + name.strip('"')


def _condition(condition: Condition) -> grpc.Condition:
    if isinstance(condition, AnyOf):
        return _any_of(condition)
    if isinstance(condition, Not):
        return grpc.Condition(filter=grpc.Filter(must_not=[_condition(condition.of)]))
    if isinstance(condition, Exists):
        empty = grpc.Condition(is_empty=grpc.IsEmptyCondition(key=path_of(condition.field)))
        return grpc.Condition(filter=grpc.Filter(must_not=[empty]))
    bounds = {b: v for b in ("gt", "gte", "lt", "lte") if (v := getattr(condition, b)) is not None}
    return _range(condition.field, grpc.Range(**bounds))


def _has_id(keys: Sequence[ProductKey]) -> grpc.Condition:
    return grpc.Condition(has_id=grpc.HasIdCondition(has_id=[grpc.PointId(uuid=point_id(key)) for key in keys]))


def _any_of(condition: AnyOf) -> grpc.Condition:
    """One clause for all strings, and one for each number, because 5 and 5.0 are the same number to a shop."""
    strings = [v for v in condition.values if isinstance(v, str)]
    clauses = [_value(condition.field, v) for v in condition.values if not isinstance(v, str)]
    if strings:
        clauses.append(_match(condition.field, grpc.Match(keywords=grpc.RepeatedStrings(strings=strings))))
    return clauses[0] if len(clauses) == 1 else grpc.Condition(filter=grpc.Filter(should=clauses))


def _value(field: str, value: Scalar) -> grpc.Condition:
    if isinstance(value, bool):
        return _match(field, grpc.Match(boolean=value))
    if isinstance(value, int) and abs(value) > EXACT:
        return _match(field, grpc.Match(integer=value))
    return _range(field, grpc.Range(gte=float(value), lte=float(value)))


def _match(field: str, match: grpc.Match) -> grpc.Condition:
    return grpc.Condition(field=grpc.FieldCondition(key=path_of(field), match=match))


def _range(field: str, bounds: grpc.Range) -> grpc.Condition:
    return grpc.Condition(field=grpc.FieldCondition(key=path_of(field), range=bounds))
