"""The filter of a query: a JSON object that maps fields to conditions, all of which must hold.

    {"brand": "Arbour", "category": ["mugs", "lamps"], "color": {"not": "red"}, "size": {"exists": true},
     "price": {"gte": 5, "lt": 20}, "available": true}

`price`, `currency`, `available` and `tenant` are fields of the product; any other name is an attribute.

| value | condition |
|---|---|
| a string, a number, true or false | `AnyOf` with this value |
| a list of them | `AnyOf` |
| {"gt", "gte", "lt", "lte": a number} | `Range` |
| {"not": a value, a list or a range} | `Not` of it; a product without the field satisfies it |
| {"exists": true}, {"exists": false} | `Exists`, `Not` of it |

An object may combine bounds, `not` and `exists`: each is a separate condition.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from catalog.domain.json_text import json_excerpt, json_type
from catalog.domain.product import Scalar
from catalog.domain.state import ATTRIBUTE, OFFER_FIELDS
from catalog.errors import InvalidInput

OWN_FIELDS = (*OFFER_FIELDS, "tenant")
BOUNDS = ("gt", "gte", "lt", "lte")


@dataclass(frozen=True, slots=True)
class AnyOf:
    """The payload field has one of these values, or is a list with at least one of them."""

    field: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """The payload field is a number within these bounds; None leaves a side open."""

    field: str
    gt: float | None = None
    gte: float | None = None
    lt: float | None = None
    lte: float | None = None


@dataclass(frozen=True, slots=True)
class Exists:
    """The payload field has a value: it is not absent, null or an empty list."""

    field: str


@dataclass(frozen=True, slots=True)
class Not:
    """The product does not satisfy `of`."""

    of: AnyOf | Range | Exists


Condition = AnyOf | Range | Exists | Not


def field_of(condition: Condition) -> str:
    """The payload field that a condition tests."""
    return condition.of.field if isinstance(condition, Not) else condition.field


def path(name: str) -> str:
    """The payload field of a field name in a query."""
    return name if name in OWN_FIELDS else ATTRIBUTE + name


def name_of(field: str) -> str:
    """The field name that queries use for a payload field."""
    return field.removeprefix(ATTRIBUTE)


def parse_filter(spec: Mapping[str, object]) -> tuple[Condition, ...]:
    """The conditions of a JSON filter. Raises InvalidInput, which names the field and the allowed values."""
    return tuple(condition for name, value in spec.items() for condition in _conditions(name, value))


def _conditions(name: str, value: object) -> Iterator[Condition]:
    if not isinstance(value, Mapping):
        yield _any_of(name, value)
        return
    bounds = {bound: v for bound, v in value.items() if bound not in ("not", "exists")}
    if bounds or not value:
        yield _range(name, bounds)
    if "not" in value:
        inner = value["not"]
        yield Not(_range(name, inner) if isinstance(inner, Mapping) else _any_of(name, inner))
    if "exists" in value:
        if not isinstance(value["exists"], bool):
            raise InvalidInput(
                f"the filter on {name!r} needs true or false for exists, not {json_excerpt(value['exists'])}"
            )
        yield Exists(path(name)) if value["exists"] else Not(Exists(path(name)))


def _any_of(name: str, value: object) -> AnyOf:
    values = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not values:
        raise InvalidInput(f"the filter on {name!r} is an empty list: give at least one value, or leave the field out")
    for v in values:
        if not isinstance(v, str | int | float | bool):
            raise InvalidInput(
                f"the filter on {name!r} has {json_type(v)} where a string, a number, true or false belongs"
            )
        if isinstance(v, int | float) and not _is_number(v):
            raise InvalidInput(f"the filter on {name!r} has a number that no product can have")
    return AnyOf(path(name), values)


def _range(name: str, bounds: Mapping[object, object]) -> Range:
    numbers: dict[str, float] = {}
    for bound, value in bounds.items():
        if bound not in BOUNDS:
            raise InvalidInput(f"the filter on {name!r} has {bound!r}; there are {', '.join(BOUNDS)}, not, exists")
        if isinstance(value, bool) or not isinstance(value, int | float) or not _is_number(value):
            raise InvalidInput(f"the range on {name!r} needs a finite number for {bound}, not {str(value)[:40]}")
        numbers[str(bound)] = float(value)
    if not numbers:
        raise InvalidInput(f"the range on {name!r} is empty: give at least one of {', '.join(BOUNDS)}")
    return Range(path(name), **numbers)


def _is_number(value: float) -> bool:
    """Whether a number is finite and, if an integer, fits in the index's 64 bits."""
    return -(2**63) <= value < 2**63 if isinstance(value, int) else math.isfinite(value)
