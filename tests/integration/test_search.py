"""The query path on a real index: all options of a query at once, and the visibility of tenants."""

from __future__ import annotations

import pytest

from catalog.domain.change import VersionStamp
from catalog.domain.filters import AnyOf, Exists, Not, Range
from catalog.domain.product import ProductKey
from catalog.domain.space import FUSED, IMAGE
from catalog.domain.state import ProductState, payload_of
from catalog.errors import InvalidInput, NotFound
from catalog.ports import ProductWrite
from catalog.query.query import FacetRequest, Mode, Query, QueryPart, Sort
from catalog.query.search import SearchService
from catalog.query.validate import QueryPolicy
from embedded.engine.process import EngineProcess
from tests.fakes import SPACE, FakeEncoder, unit
from tests.fixtures_engine import Subject, collection_at
from tests.fixtures_engine import engine as engine

TITLES = {"mug-1": "green mug", "mug-2": "green mug, large", "lamp": "brass lamp", "hat": "straw hat"}


def put(tenant: str, name: str, price: float) -> ProductWrite:
    parent = ("mugs",) if name.startswith("mug") else ()
    fields = {"price": price, "attributes.brand": tenant, **({"attributes.parent": parent[0]} if parent else {})}
    state = ProductState(base=VersionStamp(1, 0, "x"), live=True, fields=fields)
    payload = {**payload_of(state, fingerprint="f", event_time=1), "title": TITLES[name], "images": []}
    vectors = {FUSED: unit(TITLES[name], SPACE.vectors[FUSED]), IMAGE: unit(name, SPACE.vectors[IMAGE])}
    return ProductWrite(ProductKey(tenant, name), None, payload, vectors)


async def stocked(subject: Subject) -> SearchService:
    await subject.index.write([put(shop, name, n) for shop in ("a", "b") for n, name in enumerate(TITLES)])
    return SearchService(
        product_reader=subject.shelf,
        encoder=FakeEncoder(),
        vector_reader=subject.looks,
        facet_reader=subject.facets,
        policy=QueryPolicy(within_s=30),
    )


async def test_a_query_with_all_options_at_once(engine: EngineProcess) -> None:
    async with collection_at(engine.url, SPACE) as subject:
        find = await stocked(subject)
        query = Query(
            (QueryPart("green mug"),),
            conditions=(Range("price", lt=3), Not(AnyOf("currency", ("EUR",)))),
            tenant="a",
            facets=(FacetRequest("attributes.brand"),),
            group_by="attributes.parent",
            sort=Sort.CHEAPEST,
        )
        result = await find(query)
        assert result.mode is Mode.HYBRID
        assert result.degraded == ()
        assert [hit.key for hit in result.hits] == [ProductKey("a", "mug-1"), ProductKey("a", "lamp")]
        assert result.variants is not None
        assert [hit.key.id for hit in result.variants[ProductKey("a", "mug-1")]] == ["mug-2"]
        assert result.facets == {"attributes.brand": [("a", 3)]}


@pytest.mark.parametrize("mode", list(Mode))
async def test_each_mode_finds_the_words(engine: EngineProcess, mode: Mode) -> None:
    async with collection_at(engine.url, SPACE) as subject:
        result = await (await stocked(subject))(Query((QueryPart("brass lamp"),), mode=mode, tenant="b", limit=1))
        assert [hit.key for hit in result.hits] == [ProductKey("b", "lamp")]


async def test_similar_products_are_of_the_tenant_and_no_variants(engine: EngineProcess) -> None:
    async with collection_at(engine.url, SPACE) as subject:
        find = await stocked(subject)
        result = await find.similar(ProductKey("a", "mug-1"), Query(tenant="a"))
        assert {hit.key for hit in result.hits} == {ProductKey("a", "lamp"), ProductKey("a", "hat")}
        with pytest.raises(NotFound):
            await find.similar(ProductKey("b", "mug-1"), Query(tenant="a"))
        with pytest.raises(InvalidInput, match=r"no product has 'colour'; there are .*brand \(text\)"):
            await find(Query((QueryPart("mug"),), conditions=(Exists("attributes.colour"),)))
        with pytest.raises(InvalidInput, match="'brand' holds text, and 5 is a number"):
            await find(Query((QueryPart("mug"),), conditions=(AnyOf("attributes.brand", (5,)),)))
