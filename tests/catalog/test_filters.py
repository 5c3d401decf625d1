from __future__ import annotations

import math

import pytest

from catalog.errors import Misuse
from catalog.filters import AnyOf, Range, parse_filter


def test_a_value_a_list_and_a_range():
    assert parse_filter({"brand": "Arbour", "color": ["red", "blue"], "price": {"gte": 5, "lt": 20.5}}) == (
        AnyOf("attributes.brand", ("Arbour",)),
        AnyOf("attributes.color", ("red", "blue")),
        Range("price", gte=5.0, lt=20.5),
    )


def test_the_products_own_fields_are_not_attributes():
    assert parse_filter({"available": True, "tenant": "a"}) == (AnyOf("available", (True,)), AnyOf("tenant", ("a",)))


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"brand": []}, "empty list"),
        ({"brand": None}, "NoneType"),
        ({"brand": [["x"]]}, "list where"),
        ({"size": math.nan}, "no product can have"),
        ({"size": [1, 10**400]}, "no product can have"),
        ({"price": {}}, "is empty"),
        ({"price": {"above": 3}}, "gt, gte, lt, lte"),
        ({"price": {"gte": "3"}}, "finite number for gte"),
        ({"price": {"gte": True}}, "finite number for gte"),
        ({"price": {"gte": math.inf}}, "finite number for gte"),
        ({"price": {"gte": 10**400}}, "finite number for gte"),
    ],
)
def test_a_bad_filter_names_the_field(spec: dict[str, object], says: str):
    with pytest.raises(Misuse) as caught:
        parse_filter(spec)
    assert next(iter(spec)) in str(caught.value)
    assert says in str(caught.value)
