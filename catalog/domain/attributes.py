"""The values that a product attribute may have."""

from __future__ import annotations

import math

from catalog.domain.product import Attribute, Scalar

MAX_INT = 2**63 - 1


def attribute_of(value: object) -> Attribute | None:
    """A JSON value as an attribute. Raises ValueError if it is neither a scalar nor a list of scalars."""
    if value is None:
        return None
    if isinstance(value, list):
        return tuple(_scalar(v) for v in value)
    return _scalar(value)


def _scalar(value: object) -> Scalar:
    if isinstance(value, str | bool):
        return value
    if isinstance(value, int) and -MAX_INT - 1 <= value <= MAX_INT:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise ValueError("neither a scalar nor a list of scalars that an index can hold")
