"""The contract of FacetReader, for the fake and the real index."""

from __future__ import annotations

import pytest

from catalog.domain.filters import AnyOf, Condition, Exists, Not, Range
from catalog.domain.product import ProductKey
from catalog.errors import InvalidInput
from tests.contracts.test_product_writer import patch, put, revision, tombstone
from tests.fixtures_engine import Subject

SHOP: Condition = AnyOf("tenant", ("shop",))


async def filled(subject: Subject) -> None:
    products: list[dict[str, object]] = [
        {"attributes_brand": "Arbour", "attributes_color": ("red", "blue"), "available": True, "price": 5.0},
        {"attributes_brand": "Arbour", "attributes_color": "red", "available": False, "attributes_size": 42},
        {"attributes_brand": "Birch", "available": True, "attributes_size": "XL", "attributes_new": True},
        {"attributes_brand": "Cedar", "attributes_color": "green", "price": 7.5, "attributes_weight": 1.5},
        {"attributes_brand": "Dune"},
    ]
    writes = [put(ProductKey("shop", str(n)), 1, **fields) for n, fields in enumerate(products)]
    writes.append(put(ProductKey("other", "0"), 1, attributes_brand="Arbour", attributes_secret="x"))
    assert not (await subject.index.write(writes)).invalid
    gone = writes[4]
    assert not (await subject.index.write([tombstone(gone.key, 2, expect=revision(gone))])).conflicts


async def test_the_fields_there_are_and_what_they_hold(subject: Subject) -> None:
    await filled(subject)
    own_fields = {"tenant": "keyword", "price": "number", "currency": "keyword", "available": "bool"}
    attributes = {"brand": "keyword", "color": "keyword", "size": "any", "new": "bool", "weight": "number"}
    expected = {**own_fields, **{f"attributes.{name}": type_ for name, type_ in attributes.items()}}
    assert await subject.facets.fields([SHOP]) == expected
    assert await subject.facets.fields() == {**expected, "attributes.secret": "keyword"}


async def test_what_can_be_counted_is_told_and_is_counted(subject: Subject) -> None:
    await filled(subject)
    countable = await subject.facets.countable()
    assert {"attributes.brand", "attributes.color", "currency", "available", "tenant"} <= set(countable)
    assert "price" not in countable
    for field in set(countable) & {*await subject.facets.fields()}:
        await subject.facets.facet(field, [SHOP], limit=10)


async def test_fields_are_those_of_whom_the_conditions_show(subject: Subject) -> None:
    await filled(subject)
    assert "attributes.secret" not in await subject.facets.fields([SHOP])
    others = await subject.facets.fields([AnyOf("tenant", ("other",))])
    assert others["attributes.secret"] == "keyword"
    assert "attributes.weight" not in others


async def test_values_are_counted_among_live_products(subject: Subject) -> None:
    await filled(subject)
    facet = subject.facets.facet
    assert await facet("attributes.brand", [], limit=10) == [("Arbour", 3), ("Birch", 1), ("Cedar", 1)]
    assert await facet("attributes.brand", [SHOP], limit=1) == [("Arbour", 2)]
    assert await facet("attributes.color", [SHOP], limit=10) == [("red", 2), ("blue", 1), ("green", 1)]
    assert await facet("available", [SHOP], limit=10) == [(True, 2), (False, 1)]
    assert await facet("tenant", [], limit=10) == [("shop", 4), ("other", 1)]
    assert await facet("currency", [], limit=10) == []
    assert await facet("attributes.brand", [Range("price", gt=6)], limit=10) == [("Cedar", 1)]
    assert await facet("attributes.brand", [SHOP, Not(Exists("price"))], limit=10) == [("Arbour", 1), ("Birch", 1)]


async def test_counts_follow_a_patch(subject: Subject) -> None:
    key = ProductKey("shop", "1")
    first = put(key, 1, attributes_brand="Arbour")
    await subject.index.write([first])
    await subject.index.write([patch(key, 2, expect=revision(first), attributes_brand="Birch")])
    assert await subject.facets.facet("attributes.brand", [], limit=3) == [("Birch", 1)]


async def test_what_cannot_be_counted_says_what_to_do(subject: Subject) -> None:
    if not subject.collection:
        pytest.skip("the fake counts everything")
    await filled(subject)
    with pytest.raises(InvalidInput, match=r"'size' cannot be counted .* LIVESHELF_INDEXED_ATTRIBUTES"):
        await subject.facets.facet("attributes.size", [], limit=10)
    with pytest.raises(InvalidInput, match="'price' is a number without steps: filter on ranges"):
        await subject.facets.facet("price", [], limit=10)
