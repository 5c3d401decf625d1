"""The filter of a query: a JSON object of field to value, list of values or range; all must hold.

    {"brand": "Arbour", "category": ["mugs", "lamps"], "price": {"gte": 5, "lt": 20}, "available": true}

`price`, `currency`, `available` and `tenant` are the product's own; any other name is an attribute.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from catalog.errors import Misuse
from catalog.product import Scalar
from catalog.state import ATTRIBUTE, OFFER_FIELDS

OWN_FIELDS = (*OFFER_FIELDS, "tenant")
BOUNDS = ("gt", "gte", "lt", "lte")


@dataclass(frozen=True, slots=True)
class AnyOf:
    """The payload field holds one of these values (or, for a list, at least one of its members is)."""

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


Condition = AnyOf | Range


def parse_filter(spec: Mapping[str, object]) -> tuple[Condition, ...]:
    """The conditions a JSON filter stands for. Raises Misuse, naming the field and what is allowed."""
    return tuple(_condition(name, value) for name, value in spec.items())


def _condition(name: str, value: object) -> Condition:
    path = name if name in OWN_FIELDS else ATTRIBUTE + name
    if isinstance(value, Mapping):
        return _range(name, path, value)
    values = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not values:
        raise Misuse(f"the filter on {name!r} is an empty list: give at least one value, or leave the field out")
    for v in values:
        if not isinstance(v, str | int | float | bool):
            raise Misuse(f"the filter on {name!r} has {type(v).__name__} where a string, number, true or false belongs")
        if isinstance(v, int | float) and not _is_number(v):
            raise Misuse(f"the filter on {name!r} has a number that no product can have")
    return AnyOf(path, values)


def _range(name: str, path: str, bounds: Mapping[object, object]) -> Range:
    known: dict[str, float] = {}
    for bound, value in bounds.items():
        if bound not in BOUNDS:
            raise Misuse(f"the range on {name!r} has {bound!r}; the bounds are {', '.join(BOUNDS)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not _is_number(value):
            raise Misuse(f"the range on {name!r} needs a finite number for {bound}, not {str(value)[:40]}")
        known[str(bound)] = float(value)
    if not known:
        raise Misuse(f"the range on {name!r} is empty: give at least one of {', '.join(BOUNDS)}")
    return Range(path, **known)


def _is_number(value: float) -> bool:
    """Finite, and within the 64 bits that an index keeps of an integer."""
    return -(2**63) <= value < 2**63 if isinstance(value, int) else math.isfinite(value)
