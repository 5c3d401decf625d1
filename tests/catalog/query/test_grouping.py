"""Products of one parent as one hit, and the best in order by price."""

from __future__ import annotations

from dataclasses import replace

import pytest

from catalog.domain.product import ProductKey
from catalog.query.query import Query, QueryPart, Sort
from tests.search.shop import Shop, product, stocked

MUG, LAMP, BLUE = ProductKey("default", "mug"), ProductKey("default", "lamp"), ProductKey("default", "mug/blue")


def variants_shop(products: int, *, parents: int) -> Shop:
    shop = Shop()
    shop.shelf.products = {
        ProductKey("default", f"sku-{n}"): product(
            "mug" + "g" * (n % 97), attributes={"parent": f"p{n % parents}"}, price=float(n * 7 % 50)
        )
        for n in range(products)
    }
    return shop


async def test_products_of_one_parent_are_one_hit_with_the_next_best_beside_it() -> None:
    shop = variants_shop(60, parents=12)
    find = shop.find()
    everyone = (await find(Query((QueryPart("mugggg"),), limit=60))).hits
    found = await find(Query((QueryPart("mugggg"),), group_by="attributes.parent", group_size=3, limit=12))
    assert found.variants is not None
    parents = [hit.payload["attributes"]["parent"] for hit in found.hits]
    assert len(parents) == len(set(parents)) == 12
    for hit, parent in zip(found.hits, parents, strict=True):
        group = [other.key for other in everyone if other.payload["attributes"]["parent"] == parent]
        assert [hit.key, *(v.key for v in found.variants[hit.key])] == group[:3]
    assert [hit.score for hit in found.hits] == sorted((hit.score for hit in found.hits), reverse=True)


async def test_groups_page_without_gaps_or_doubles() -> None:
    shop = variants_shop(60, parents=12)
    find = shop.find()
    query = Query((QueryPart("mugggg"),), group_by="attributes.parent")
    whole = (await find(replace(query, limit=12))).hits
    pages = [hit for at in range(0, 12, 5) for hit in (await find(replace(query, limit=5, offset=at))).hits]
    assert [hit.key for hit in pages] == [hit.key for hit in whole]


async def test_more_is_fetched_until_there_are_groups_enough_or_the_bound_is_reached() -> None:
    shop = variants_shop(900, parents=3)
    find = shop.find()
    found = await find(Query((QueryPart("mug"),), group_by="attributes.parent", limit=4))
    assert len(found.hits) == 3
    assert [ask.limit for ask in shop.shelf.asked] == [200, 1000]
    shop.shelf.asked.clear()
    await find(Query((QueryPart("mug"),), group_by="attributes.parent", limit=3))
    assert [ask.limit for ask in shop.shelf.asked] == [200]


async def test_a_product_without_the_field_is_a_group_of_its_own_and_tenants_share_none() -> None:
    shop = stocked()
    found = await shop.find()(Query((QueryPart("mug"),), group_by="attributes.brand"))
    assert {hit.key for hit in found.hits} >= {ProductKey("other", "mug"), LAMP}
    assert len(found.hits) == 3
    shop.shelf.products[BLUE]["attributes"] = {}
    assert len((await shop.find()(Query((QueryPart("mug"),), group_by="attributes.brand"))).hits) == 4


@pytest.mark.parametrize(("sort", "factor"), [(Sort.CHEAPEST, 1), (Sort.DEAREST, -1)])
async def test_the_best_are_put_in_order_by_price_and_those_without_come_last(sort: Sort, factor: int) -> None:
    shop = variants_shop(300, parents=12)
    for n in range(0, 300, 4):
        shop.shelf.products[ProductKey("default", f"sku-{n}")]["price"] = None
    find = shop.find()
    best = {hit.key for hit in (await find(Query((QueryPart("mug"),), limit=200))).hits}
    found = await find(Query((QueryPart("mug"),), sort=sort, limit=200))
    prices = [hit.payload["price"] for hit in found.hits]
    told = [price * factor for price in prices if price is not None]
    assert {hit.key for hit in found.hits} == best
    assert told == sorted(told)
    assert all(price is None for price in prices[len(told) :])
    page = await find(Query((QueryPart("mug"),), sort=sort, limit=10, offset=30))
    assert [hit.key for hit in page.hits] == [hit.key for hit in found.hits[30:40]]


async def test_groups_are_sorted_by_the_price_of_their_best() -> None:
    shop = variants_shop(60, parents=12)
    found = await shop.find()(Query((QueryPart("mug"),), sort=Sort.CHEAPEST, group_by="attributes.parent"))
    prices = [hit.payload["price"] for hit in found.hits]
    assert prices == sorted(prices)
