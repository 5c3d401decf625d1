"""Resolving queries, and degraded results. The shop is the one of the HTTP tests, without HTTP."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import numpy as np
import pytest

from catalog.domain.filters import AnyOf, Exists, Not, Range
from catalog.domain.image_state import ImageState
from catalog.domain.index_query import ReciprocalRankFusion, WeightedFusion
from catalog.domain.product import ProductKey
from catalog.domain.space import FUSED
from catalog.errors import FatalError, ImageProblem, InvalidInput, NotFound, Unavailable
from catalog.query.query import FacetRequest, Mode, Query, QueryPart
from catalog.query.validate import QueryPolicy
from tests.search.shop import SPACE, bag, photo, stocked

MUG, LAMP, BLUE = ProductKey("default", "mug"), ProductKey("default", "lamp"), ProductKey("default", "mug/blue")


async def test_similar_leaves_out_itself_and_its_variants() -> None:
    shop = stocked()
    for name in ("mug", "mug/blue"):
        shop.shelf.products[ProductKey("default", name)]["attributes"] = {"parent": "mugs-1"}
    result = await shop.search_service().similar(MUG, Query(limit=10))
    assert [hit.key for hit in result.hits] == [ProductKey("other", "mug"), LAMP]
    vector = shop.shelf.queries[-1].vector
    assert vector is not None
    np.testing.assert_allclose(vector, bag("sea green mug"), atol=1e-6)
    assert shop.shelf.conditions == (Not(AnyOf("attributes.parent", ("mugs-1",))),)


async def test_similar_to_a_product_without_a_parent_leaves_out_itself_alone() -> None:
    result = await stocked().search_service().similar(MUG, Query(limit=10, conditions=(AnyOf("tenant", ("default",)),)))
    assert {hit.key for hit in result.hits} == {LAMP, BLUE}


async def test_a_caller_of_one_tenant_sees_no_other() -> None:
    shop = stocked()
    search = shop.search_service()
    result = await search(Query((QueryPart("mug"),), tenant="other", facets=(FacetRequest("attributes.brand"),)))
    assert [hit.key for hit in result.hits] == [ProductKey("other", "mug")]
    assert result.facets == {"attributes.brand": [("Arbour", 1)]}
    for query in (
        Query((QueryPart(product=MUG),), tenant="other"),
        Query((QueryPart("x"), QueryPart(product=MUG)), tenant="other"),
    ):
        with pytest.raises(NotFound):
            await search(query)
    with pytest.raises(NotFound):
        await search.similar(MUG, Query(tenant="other"))
    assert await search.counts(Query(tenant="other", facets=(FacetRequest("tenant"),))) == {"tenant": [("other", 1)]}


@pytest.mark.parametrize(
    ("query", "default", "mode"),
    [
        (Query((QueryPart("mug"),)), Mode.HYBRID, Mode.HYBRID),
        (Query((QueryPart("mug"), QueryPart("green", weight=0.5))), Mode.HYBRID, Mode.HYBRID),
        (Query((QueryPart("mug"),)), Mode.DENSE, Mode.DENSE),
        (Query((QueryPart("mug", photo()),)), Mode.HYBRID, Mode.DENSE),
        (Query((QueryPart(image=photo()),)), Mode.HYBRID, Mode.DENSE),
        (Query((QueryPart("mug"), QueryPart("red", weight=-1.0))), Mode.HYBRID, Mode.DENSE),
        (Query((QueryPart("mug"), QueryPart(product=MUG))), Mode.HYBRID, Mode.DENSE),
        (Query((QueryPart("mug", photo()),), mode=Mode.HYBRID), Mode.DENSE, Mode.HYBRID),
        (Query((QueryPart("mug"),), fusion=WeightedFusion(0.3)), Mode.DENSE, Mode.HYBRID),
        (Query((QueryPart("mug"),), mode=Mode.LEXICAL), Mode.HYBRID, Mode.LEXICAL),
        (Query((QueryPart("mug"),), mode=Mode.DENSE), Mode.HYBRID, Mode.DENSE),
    ],
)
async def test_the_mode_is_the_one_asked_for_or_the_policys_for_words_alone(
    query: Query, default: Mode, mode: Mode
) -> None:
    shop = stocked()
    shop.finding = QueryPolicy(mode=default)
    assert (await shop.search_service()(query)).mode is mode
    [index_query] = shop.shelf.queries
    assert (index_query.vector is not None, index_query.words is not None) == (
        mode is not Mode.LEXICAL,
        mode is not Mode.DENSE,
    )


async def test_the_words_of_titles_are_those_that_hits_are_to_be_like() -> None:
    shop = stocked()
    parts = (
        QueryPart("sea green"),
        QueryPart("lamp", weight=-0.2),
        QueryPart("mug", weight=0.3),
        QueryPart(image=photo()),
    )
    await shop.search_service()(Query(parts, mode=Mode.HYBRID, fusion=WeightedFusion(0.7)))
    [index_query] = shop.shelf.queries
    assert index_query.words == "sea green mug"
    assert index_query.fusion == WeightedFusion(0.7)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (Query(), "an empty query finds nothing"),
        (Query((QueryPart(" "), QueryPart("mug", weight=0.0))), "an empty query finds nothing"),
        (Query((QueryPart("x" * 1001),)), "text: 1001 characters"),
        (Query((QueryPart("x"),) * 17), "mix: 17 parts"),
        (Query((QueryPart("x", weight=math.nan),)), "weight: nan is not between -100 and 100"),
        (Query((QueryPart("x", weight=-math.inf),)), "weight: -inf"),
        (Query((QueryPart("x", weight=100.5),)), "weight: 100.5"),
        (Query((QueryPart("x"),), limit=0), "limit: 0 is not between 1 and 1000"),
        (Query((QueryPart("x"),), limit=1001), "limit: 1001"),
        (Query((QueryPart("x"),), offset=-1), "offset: -1 is below 0"),
        (Query((QueryPart("x"),), offset=9_999, limit=2), "offset: offset and limit together are 10001"),
        (Query((QueryPart("x"),), group_by="currency", offset=990), "1010, more than the 1000 of a grouped search"),
        (Query((QueryPart("x"),), group_by="currency", group_size=0), "group_size: 0"),
        (Query((QueryPart("x"),), using="title"), "using: there is no vector 'title'; there are fused, image"),
        (Query((QueryPart("x"),), ef=0), "ef: 0 is not between 1 and 10000"),
        (Query((QueryPart("x"),), within_s=0.0), "timeout_ms: 0 is not between 1 and 60000"),
        (Query((QueryPart("x"),), within_s=61.0), "timeout_ms: 61000"),
        (Query((QueryPart(image=b"x"),), mode=Mode.LEXICAL), "mode: lexical looks for words: give some text"),
        (Query((QueryPart(image=b"x"),), mode=Mode.HYBRID), "mode: hybrid looks for words: give some text"),
        (Query((QueryPart("x", weight=-1.0),), mode=Mode.HYBRID), "mode: hybrid looks for words: give some text"),
        (Query((QueryPart("x"), QueryPart(product=MUG)), mode=Mode.LEXICAL), "mode: lexical looks for words alone"),
        (Query((QueryPart("x"),), mode=Mode.DENSE, fusion=ReciprocalRankFusion()), "fusion: there is nothing to fuse"),
        (Query((QueryPart("x"),), fusion=ReciprocalRankFusion(k=0)), "fusion: k is 0"),
        (Query((QueryPart("x"),), fusion=ReciprocalRankFusion(dense=-1.0)), "fusion: the weights"),
        (Query((QueryPart("x"),), fusion=ReciprocalRankFusion(dense=0.0, lexical=0.0)), "fusion: the weights"),
        (Query((QueryPart("x"),), fusion=ReciprocalRankFusion(dense=math.inf)), "fusion: the weights"),
        (Query((QueryPart("x"),), fusion=WeightedFusion(1.1)), "fusion: the weight of dense is 1.1"),
        (Query((QueryPart("x"),), fusion=WeightedFusion(math.nan)), "fusion: the weight of dense is nan"),
        (Query((QueryPart("x"),), facets=(FacetRequest("currency"),) * 2), "facets: a field is given more than once"),
        (Query((QueryPart("x"),), facets=(FacetRequest("currency", 0),)), "facets: a limit of 0"),
        (Query((QueryPart("x"),), facets=tuple(FacetRequest(f"f{n}") for n in range(17))), "facets: 17 fields"),
        (
            Query((QueryPart("x"),), facets=(FacetRequest("attributes.colour"),)),
            "facets: 'colour' is not counted; there are",
        ),
        (Query((QueryPart("x"),), group_by="attributes.colour"), "group_by: no product has 'colour'; there are"),
        (
            Query((QueryPart("x"),), conditions=(AnyOf("attributes.colour", ("red",)),)),
            r"no product has 'colour'.*brand",
        ),
        (Query((QueryPart("x"),), conditions=(Exists("attributes.colour"),)), "filter: no product has 'colour'"),
        (Query((QueryPart("x"),), conditions=(AnyOf("price", ("5",)),)), 'price.* holds numbers, and "5" is text'),
        (Query((QueryPart("x"),), conditions=(AnyOf("price", (True,)),)), "holds numbers, and true is true or false"),
        (Query((QueryPart("x"),), conditions=(AnyOf("available", (1,)),)), "holds true or false, and 1 is a number"),
        (
            Query((QueryPart("x"),), conditions=(AnyOf("currency", ("EUR", 5)),)),
            "'currency' holds text, and 5 is a number",
        ),
        (Query((QueryPart("x"),), conditions=(Not(AnyOf("currency", (5,))),)), "'currency' holds text"),
        (
            Query((QueryPart("x"),), conditions=(Range("attributes.brand", gt=5),)),
            "'brand' holds text, so it has no range",
        ),
    ],
)
async def test_what_is_not_allowed_is_one_sentence_that_names_the_field(query: Query, message: str) -> None:
    shop = stocked()
    with pytest.raises(InvalidInput, match=message):
        await shop.search_service()(query)
    assert shop.encoder.calls == []
    assert shop.shelf.queries == []


async def test_an_attribute_that_is_not_indexed_can_be_filtered_on_where_a_product_has_it() -> None:
    shop = stocked()
    shop.shelf.products[MUG]["attributes"] = {"volume": 0.3}
    search = shop.search_service()
    result = await search(Query((QueryPart("mug"),), conditions=(Range("attributes.volume", gte=0.2),)))
    assert [hit.key for hit in result.hits] == [MUG]
    with pytest.raises(InvalidInput, match="no product has 'volume'"):  # other tenants' attributes are hidden
        await search(Query((QueryPart("mug"),), conditions=(Exists("attributes.volume"),), tenant="other"))


@pytest.mark.parametrize(
    "failure", [Unavailable("the encoder has too many waiting"), FatalError("the device is lost")], ids=lambda e: str(e)
)
async def test_if_the_encoder_fails_words_are_answered_by_words_and_the_result_says_so(failure: Exception) -> None:
    shop = stocked()
    shop.encoder.failure = failure
    result = await shop.search_service()(Query((QueryPart("brass lamp"), QueryPart(image=photo())), mode=Mode.HYBRID))
    assert [hit.key for hit in result.hits] == [LAMP]
    assert result.mode is Mode.LEXICAL
    assert result.degraded == (f"encoder: {failure}; found by words alone",)


async def test_a_late_encoder_is_not_waited_for_if_there_are_words() -> None:
    shop = stocked()
    shop.encoder.delay = 60
    result = await shop.search_service()(Query((QueryPart("brass lamp"),), within_s=0.2))
    assert [hit.key for hit in result.hits] == [LAMP]
    assert result.degraded == ("encoder: no vector in time; found by words alone",)
    [index_query] = shop.shelf.queries
    assert index_query.within_s is not None
    assert 0 < index_query.within_s <= 0.11


async def test_without_words_there_is_nothing_to_fall_back_on() -> None:
    shop = stocked()
    shop.encoder.failure = Unavailable("the encoder is away")
    with pytest.raises(Unavailable, match="the encoder is away"):
        await shop.search_service()(Query((QueryPart(image=photo()),)))
    shop.encoder.failure, shop.encoder.delay = None, 60
    with pytest.raises(Unavailable, match="no answer in time"):
        await shop.search_service()(Query((QueryPart(image=photo()),), within_s=0.05))


async def test_bytes_that_are_no_image_are_an_error_even_if_there_are_words() -> None:
    with pytest.raises(ImageProblem) as caught:
        await stocked().search_service()(Query((QueryPart("mug", b"no picture"),)))
    assert caught.value.state is ImageState.BROKEN


async def test_a_vector_that_is_not_finite_is_none() -> None:
    shop = stocked()
    shop.encoder.vector = np.full(64, np.nan, np.float32)
    assert (await shop.search_service()(Query((QueryPart("mug"),)))).mode is Mode.LEXICAL
    with pytest.raises(InvalidInput, match="returns no vector for this query"):
        await shop.search_service()(Query((QueryPart(image=photo()),)))


@pytest.mark.parametrize("late", [False, True])
async def test_if_facets_fail_there_are_hits_without_them(late: bool) -> None:
    shop = stocked()
    if late:
        shop.shelf.count_delay = 60
    else:
        shop.shelf.uncounted = Unavailable("the index is busy")
    result = await shop.search_service()(
        Query((QueryPart("lamp"),), facets=(FacetRequest("attributes.brand"),), limit=1, within_s=0.3)
    )
    assert [hit.key for hit in result.hits] == [LAMP]
    assert result.facets == {}
    [reason] = result.degraded
    assert reason.startswith("facets: 'brand' was not counted")


async def test_an_index_that_is_late_is_unavailable_within_the_time_given() -> None:
    shop = stocked()
    shop.shelf.delay = 60
    with pytest.raises(Unavailable, match="no answer in time"):
        await shop.search_service()(Query((QueryPart("lamp"),), within_s=0.1))


async def test_facets_count_what_satisfies_the_conditions() -> None:
    result = await stocked().search_service()(
        Query(
            (QueryPart("mug"),),
            facets=(FacetRequest("attributes.brand"), FacetRequest("attributes.category", 1)),
            conditions=(AnyOf("tenant", ("default",)),),
            limit=1,
        )
    )
    assert result.facets == {"attributes.brand": [("Arbour", 2), ("Lumen", 1)], "attributes.category": [("desk", 1)]}


@pytest.mark.parametrize(
    ("shape", "pool"),
    [({}, 200), ({"limit": 200}, 200), ({"offset": 190}, 1000), ({"offset": 5000}, 10_000)],
)
async def test_the_query_of_the_index(shape: dict[str, Any], pool: int) -> None:
    shop = stocked()
    resolved = await shop.search_service().resolve(
        Query((QueryPart("mug"),), mode=Mode.HYBRID, exact=True, ef=77, tenant="default", within_s=5.0, **shape)
    )
    assert resolved.mode is Mode.HYBRID
    assert resolved.degraded == ()
    index_query = resolved.index_query
    assert (index_query.words, index_query.using, index_query.exact, index_query.ef, index_query.pool) == (
        "mug",
        FUSED,
        True,
        77,
        pool,
    )
    assert index_query.conditions == (AnyOf("tenant", ("default",)),)
    assert index_query.within_s is not None
    assert 4 < index_query.within_s <= 5


async def test_candidates_may_be_more_than_hits() -> None:
    search = stocked().search_service()
    resolved = await search.resolve(Query((QueryPart("mug"),), limit=10_000), max_limit=10_000)
    assert (resolved.index_query.limit, resolved.index_query.pool) == (10_000, 10_000)
    with pytest.raises(InvalidInput, match="between 1 and 10000"):
        await search.resolve(Query((QueryPart("mug"),), limit=10_001), max_limit=10_000)


async def test_the_vector_alone() -> None:
    shop = stocked()
    vector = await shop.search_service().vector(Query((QueryPart("mug"),)))
    np.testing.assert_allclose(vector, bag("mug"), atol=1e-6)
    assert (vector.dtype, vector.shape) == (np.float32, (SPACE.vectors[FUSED],))
    shop.encoder.failure = Unavailable("away")
    with pytest.raises(Unavailable):
        await shop.search_service().vector(Query((QueryPart("mug"),)))


async def test_a_query_that_is_given_up_leaves_nothing_behind() -> None:
    shop = stocked()
    shop.shelf.delay = 60
    task = asyncio.create_task(
        shop.search_service()(Query((QueryPart("mug"),), facets=(FacetRequest("currency"),), mode=Mode.DENSE))
    )
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == {asyncio.current_task()}
