"""Grouping of variants, and sorting by price."""

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


async def test_products_of_one_parent_are_one_hit_with_the_next_best_as_variants() -> None:
    shop = variants_shop(60, parents=12)
    search = shop.search_service()
    all_hits = (await search(Query((QueryPart("mugggg"),), limit=60))).hits
    result = await search(Query((QueryPart("mugggg"),), group_by="attributes.parent", group_size=3, limit=12))
    assert result.variants is not None
    parents = [hit.payload["attributes"]["parent"] for hit in result.hits]
    assert len(parents) == len(set(parents)) == 12
    for hit, parent in zip(result.hits, parents, strict=True):
        group = [other.key for other in all_hits if other.payload["attributes"]["parent"] == parent]
        assert [hit.key, *(v.key for v in result.variants[hit.key])] == group[:3]
    assert [hit.score for hit in result.hits] == sorted((hit.score for hit in result.hits), reverse=True)


async def test_groups_page_without_gaps_or_doubles() -> None:
    shop = variants_shop(60, parents=12)
    search = shop.search_service()
    query = Query((QueryPart("mugggg"),), group_by="attributes.parent")
    all_hits = (await search(replace(query, limit=12))).hits
    pages = [hit for at in range(0, 12, 5) for hit in (await search(replace(query, limit=5, offset=at))).hits]
    assert [hit.key for hit in pages] == [hit.key for hit in all_hits]


async def test_more_is_fetched_until_there_are_groups_enough_or_the_bound_is_reached() -> None:
    shop = variants_shop(900, parents=3)
    search = shop.search_service()
    result = await search(Query((QueryPart("mug"),), group_by="attributes.parent", limit=4))
    assert len(result.hits) == 3
    assert [query.limit for query in shop.shelf.queries] == [200, 1000]
    shop.shelf.queries.clear()
    await search(Query((QueryPart("mug"),), group_by="attributes.parent", limit=3))
    assert [query.limit for query in shop.shelf.queries] == [200]


async def test_a_product_without_the_field_is_a_group_of_its_own_and_tenants_share_none() -> None:
    shop = stocked()
    result = await shop.search_service()(Query((QueryPart("mug"),), group_by="attributes.brand"))
    assert {hit.key for hit in result.hits} >= {ProductKey("other", "mug"), LAMP}
    assert len(result.hits) == 3
    shop.shelf.products[BLUE]["attributes"] = {}
    assert len((await shop.search_service()(Query((QueryPart("mug"),), group_by="attributes.brand"))).hits) == 4


@pytest.mark.parametrize(("sort", "factor"), [(Sort.CHEAPEST, 1), (Sort.DEAREST, -1)])
async def test_the_best_are_put_in_order_by_price_and_those_without_come_last(sort: Sort, factor: int) -> None:
    shop = variants_shop(300, parents=12)
    for n in range(0, 300, 4):
        shop.shelf.products[ProductKey("default", f"sku-{n}")]["price"] = None
    search = shop.search_service()
    best = {hit.key for hit in (await search(Query((QueryPart("mug"),), limit=200))).hits}
    result = await search(Query((QueryPart("mug"),), sort=sort, limit=200))
    prices = [hit.payload["price"] for hit in result.hits]
    known = [price * factor for price in prices if price is not None]
    assert {hit.key for hit in result.hits} == best
    assert known == sorted(known)
    assert all(price is None for price in prices[len(known) :])
    page = await search(Query((QueryPart("mug"),), sort=sort, limit=10, offset=30))
    assert [hit.key for hit in page.hits] == [hit.key for hit in result.hits[30:40]]


async def test_groups_are_sorted_by_the_price_of_their_best() -> None:
    shop = variants_shop(60, parents=12)
    result = await shop.search_service()(Query((QueryPart("mug"),), sort=Sort.CHEAPEST, group_by="attributes.parent"))
    prices = [hit.payload["price"] for hit in result.hits]
    assert prices == sorted(prices)
