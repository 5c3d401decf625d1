from __future__ import annotations

import math

import pytest

from catalog.domain.filters import AnyOf, Exists, Not, Range, parse_filter
from catalog.errors import InvalidInput


def test_a_value_a_list_and_a_range():
    assert parse_filter({"brand": "Arbour", "color": ["red", "blue"], "price": {"gte": 5, "lt": 20.5}}) == (
        AnyOf("attributes.brand", ("Arbour",)),
        AnyOf("attributes.color", ("red", "blue")),
        Range("price", gte=5.0, lt=20.5),
    )


def test_the_products_own_fields_are_not_attributes():
    assert parse_filter({"available": True, "tenant": "a"}) == (AnyOf("available", (True,)), AnyOf("tenant", ("a",)))


def test_not_and_exists():
    assert parse_filter({"color": {"not": "red"}, "brand": {"not": ["a", "b"]}, "price": {"not": {"gt": 5}}}) == (
        Not(AnyOf("attributes.color", ("red",))),
        Not(AnyOf("attributes.brand", ("a", "b"))),
        Not(Range("price", gt=5.0)),
    )
    assert parse_filter({"size": {"exists": True}, "brand": {"exists": False}}) == (
        Exists("attributes.size"),
        Not(Exists("attributes.brand")),
    )


def test_bounds_not_and_exists_of_one_field_all_hold():
    assert parse_filter({"price": {"gte": 5, "not": [7, 9], "exists": True}}) == (
        Range("price", gte=5.0),
        Not(AnyOf("price", (7, 9))),
        Exists("price"),
    )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"brand": []}, "empty list"),
        ({"brand": None}, "null where"),
        ({"brand": [["x"]]}, "a list where"),
        ({"size": math.nan}, "no product can have"),
        ({"size": [1, 10**400]}, "no product can have"),
        ({"price": {}}, "is empty"),
        ({"price": {"above": 3}}, "gt, gte, lt, lte"),
        ({"price": {"gte": "3"}}, "finite number for gte"),
        ({"price": {"gte": True}}, "finite number for gte"),
        ({"price": {"gte": math.inf}}, "finite number for gte"),
        ({"price": {"gte": 10**400}}, "finite number for gte"),
        ({"price": {"gte": None}}, "finite number for gte"),
        ({"brand": {"not": None}}, "null where"),
        ({"brand": {"not": []}}, "empty list"),
        ({"brand": {"not": {}}}, "is empty"),
        ({"brand": {"not": {"not": "x"}}}, "gt, gte, lt, lte"),
        ({"brand": {"exists": 1}}, "true or false for exists"),
        ({"brand": {"exists": None}}, "true or false for exists"),
    ],
)
def test_a_bad_filter_names_the_field(spec: dict[str, object], message: str):
    with pytest.raises(InvalidInput) as caught:
        parse_filter(spec)
    assert next(iter(spec)) in str(caught.value)
    assert message in str(caught.value)
