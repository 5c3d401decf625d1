from __future__ import annotations

import pytest

from catalog.domain.filters import AnyOf
from catalog.errors import InvalidInput
from indexer.qdrant.filters import live_and, path_of


@pytest.mark.parametrize(
    ("field", "path"),
    [
        ("price", "price"),
        ("attributes.brand", "attributes.brand"),
        ("attributes.a-b_2", "attributes.a-b_2"),
        ("attributes.a.b", 'attributes."a.b"'),
        ("attributes.x[]", 'attributes."x[]"'),
        ("attributes.größe", 'attributes."größe"'),
    ],
)
def test_a_field_becomes_a_path(field: str, path: str) -> None:
    assert path_of(field) == path


@pytest.mark.parametrize("name", ["", 'a"b'])
def test_an_attribute_name_that_no_path_can_hold_is_invalid_input(name: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be filtered on"):
        path_of(f"attributes.{name}")


@pytest.mark.parametrize("value", ["\ud800", 2**64])
def test_a_value_no_product_can_have_is_invalid_input(value: str | int) -> None:
    with pytest.raises(InvalidInput, match="no product can have"):
        live_and([AnyOf("attributes.brand", (value,))])
