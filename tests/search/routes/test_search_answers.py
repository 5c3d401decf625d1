"""POST /v1/search and GET /v1/products/{id}/similar: what comes of mixes, modes, facets, groups and order."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from catalog.domain.index_query import ReciprocalRankFusion, WeightedFusion
from catalog.domain.product import ProductKey
from catalog.errors import Unavailable
from catalog.query.query import Mode
from catalog.query.validate import QueryPolicy
from search.auth.caller import Caller
from tests.search.shop import bag, data_url, photo, product, stocked


async def test_a_mix_of_words_photos_and_a_product() -> None:
    shop = stocked()
    shop.images.photos["https://images.example/wanted.png"] = photo("red")
    parts = [
        {"text": "green mug"},
        {"image_url": "https://images.example/wanted.png", "weight": 0.5},
        {"product": "lamp", "weight": -0.3},
        {"product": "mug", "tenant": "other", "weight": 0.1},
    ]
    async with shop.client() as client:
        response = await client.post("/v1/search", json={"mix": parts})
    assert response.status_code == 200, response.text
    expected = bag("green mug") + 0.5 * bag("a photo") - 0.3 * bag("brass lamp") + 0.1 * bag("another shop's mug")
    [query] = shop.shelf.queries
    assert query.vector is not None
    np.testing.assert_allclose(query.vector, expected / np.linalg.norm(expected), atol=1e-6)
    assert {hit["id"] for hit in response.json()["hits"]} == {"mug", "mug/blue"}
    assert shop.encoder.calls == [("green mug", None), (None, photo("red"))]


async def test_the_short_forms_are_one_more_part_of_a_mix() -> None:
    shop = stocked()
    async with shop.client() as client:
        body = {"text": "mug", "image_url": data_url(photo()), "mix": [{"text": "blue", "weight": 0.5}]}
        assert (await client.post("/v1/search", json=body)).status_code == 200
    assert shop.encoder.calls == [("blue", None), ("mug", photo())]


async def test_several_uploads_are_parts_of_weight_1_unless_a_mix_says_otherwise() -> None:
    shop = stocked()
    files = [("image", ("a.png", photo("red"))), ("image", ("b.png", photo("blue")))]
    async with shop.client() as client:
        plain = await client.post("/v1/search", files=files, data={"text": "mug"})
        parts = [{"upload": 1, "weight": -0.5}, {"upload": 0}, {"text": "mug"}]
        mixed = await client.post("/v1/search", files=files, data={"mix": json.dumps(parts)})
    assert (plain.status_code, mixed.status_code) == (200, 200)
    assert shop.encoder.calls[:3] == [(None, photo("red")), (None, photo("blue")), ("mug", None)]
    assert shop.encoder.calls[3:] == [(None, photo("blue")), (None, photo("red")), ("mug", None)]
    first, second = (query.vector for query in shop.shelf.queries)
    assert first is not None
    assert second is not None
    assert not np.allclose(first, second)


async def test_a_form_says_all_that_json_does() -> None:
    shop = stocked()
    fields = {
        "text": "mug",
        "mode": "hybrid",
        "fusion": {"rrf": {"k": 10, "lexical": 2}},
        "exact": True,
        "ef": 50,
        "filter": {"tenant": "default"},
        "facets": ["brand", {"field": "category", "limit": 1}],
        "group_by": "brand",
        "group_size": 2,
        "sort": "-price",
        "limit": 5,
        "offset": 0,
        "timeout_ms": 900,
    }
    form = {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
    async with shop.client() as client:
        as_json = await client.post("/v1/search", json=fields)
        as_form = await client.post("/v1/search", files={name: (None, value) for name, value in form.items()})
    assert as_json.status_code == as_form.status_code == 200, as_form.text
    bodies = [{**answer.json(), "took_ms": None} for answer in (as_json, as_form)]
    assert bodies[0] == bodies[1]
    queries = [replace(query, vector=None, within_s=None) for query in shop.shelf.queries]
    assert queries[0] == queries[1]
    assert (queries[0].fusion, queries[0].exact, queries[0].ef) == (ReciprocalRankFusion(10, 1, 2), True, 50)


@pytest.mark.parametrize("mode", ["dense", "lexical", "hybrid"])
async def test_the_mode_can_be_chosen_and_is_said(mode: str) -> None:
    shop = stocked()
    async with shop.client() as client:
        body = (await client.post("/v1/search", json={"text": "brass lamp", "mode": mode})).json()
    assert body["mode"] == mode
    assert body["degraded"] == []
    assert body["hits"][0]["id"] == "lamp"
    [query] = shop.shelf.queries
    assert (query.vector is not None, query.words) == (mode != "lexical", None if mode == "dense" else "brass lamp")


async def test_scores_can_be_weighed_instead_of_ranks() -> None:
    shop = stocked()
    async with shop.client() as client:
        await client.post("/v1/search", json={"text": "mug", "fusion": {"weighted": {"dense": 0.8}}})
    assert shop.shelf.queries[0].fusion == WeightedFusion(0.8)


async def test_facets_are_counted_over_what_the_filter_leaves() -> None:
    async with stocked().client() as client:
        request = {"text": "mug", "limit": 1, "filter": {"tenant": "default"}, "facets": ["brand", "category"]}
        body = (await client.post("/v1/search", json=request)).json()
        alone = await client.get("/v1/facets", params={"field": ["brand"], "filter": '{"tenant": "default"}'})
    assert body["facets"] == {
        "brand": [{"value": "Arbour", "count": 2}, {"value": "Lumen", "count": 1}],
        "category": [{"value": "desk", "count": 1}, {"value": "lamps", "count": 1}],
    }
    assert alone.json()["facets"] == {"brand": body["facets"]["brand"]}
    assert alone.json()["fields"]["price"] == "number"
    assert alone.json()["fields"]["brand"] == alone.json()["fields"]["material"] == "keyword"
    assert {"price", "material"} & {*alone.json()["counted"]} == set()
    assert {"brand", "available"} <= {*alone.json()["counted"]}


async def test_variants_come_with_the_best_of_them() -> None:
    shop = stocked()
    for n, name in enumerate(("mug", "mug/blue")):
        shop.shelf.products[ProductKey("default", name)]["attributes"] = {"parent": "mugs-1", "size": n}
    async with shop.client() as client:
        body = (await client.post("/v1/search", json={"text": "sea green mug", "group_by": "parent"})).json()
    [best, *others] = body["hits"]
    assert best["id"] == "mug"
    assert [variant["id"] for variant in best["variants"]] == ["mug/blue"]
    assert "variants" not in best["variants"][0]
    assert {hit["id"] for hit in others} == {"lamp", "mug"}
    assert all(hit["variants"] == [] for hit in others)


async def test_products_like_one_leave_out_itself_and_its_variants() -> None:
    shop = stocked()
    shop.shelf.products[ProductKey("default", "sea/mug")] = product("sea green mug", attributes={"parent": "p"})
    shop.shelf.products[ProductKey("default", "mug")]["attributes"] = {"parent": "p"}
    async with shop.client() as client:
        body = (await client.get("/v1/products/mug/similar", params={"limit": 2, "facets": "brand"})).json()
        slashed = (await client.get("/v1/products/sea%2Fmug/similar", params={"sort": "price"})).json()
        theirs = (await client.get("/v1/products/mug/similar", params={"tenant": "other", "limit": 1})).json()
    assert len(body["hits"]) == 2
    assert not {"mug", "sea/mug"} & {hit["id"] for hit in body["hits"] if hit["tenant"] == "default"}
    assert body["mode"] == "dense"
    assert body["facets"]["brand"]
    assert [hit["id"] for hit in slashed["hits"]] == ["mug/blue", "lamp", "mug"]
    assert theirs["hits"][0]["title"] == "sea green mug"


async def test_how_old_a_hit_is_and_that_a_clock_ahead_of_ours_is_no_age() -> None:
    shop = stocked()
    shop.shelf.products[ProductKey("default", "mug")]["event_time"] = 1_732_245_005_000
    shop.shelf.products[ProductKey("default", "lamp")]["event_time"] = 1_732_245_999_000
    async with shop.client() as client:
        mug, lamp = (await client.get("/v1/products/mug")).json(), (await client.get("/v1/products/lamp")).json()
    assert (mug["age_s"], lamp["age_s"]) == (5.0, 0.0)


async def test_an_answer_by_words_alone_says_so() -> None:
    shop = stocked()
    shop.encoder.failure = Unavailable("the encoder has more waiting than it can serve")
    async with shop.client() as client:
        response = await client.post("/v1/search", json={"text": "brass lamp"})
    assert response.status_code == 200
    body = response.json()
    assert [hit["id"] for hit in body["hits"]] == ["lamp"]
    assert body["mode"] == "lexical"
    assert body["degraded"] == ["encoder: the encoder has more waiting than it can serve; found by words alone"]


async def test_an_answer_without_its_facets_says_so() -> None:
    shop = stocked()
    shop.shelf.uncounted = Unavailable("the index is busy")
    async with shop.client() as client:
        response = await client.post("/v1/search", json={"text": "lamp", "facets": ["brand"]})
    assert response.status_code == 200
    assert response.json()["facets"] == {}
    assert response.json()["degraded"] == ["facets: 'brand' was not counted: the index is busy"]


async def test_the_time_a_query_may_take_reaches_the_index() -> None:
    shop = stocked()
    shop.finding = QueryPolicy(mode=Mode.HYBRID)
    async with shop.client() as client:
        await client.post("/v1/search", json={"text": "lamp", "timeout_ms": 7000})
    [query] = shop.shelf.queries
    assert query.within_s is not None
    assert 3 < query.within_s <= 7


async def test_a_caller_of_one_tenant_is_that_tenant_where_none_is_named() -> None:
    shop = stocked()
    shop.caller = Caller(tenant="other")
    async with shop.client() as client:
        assert (await client.get("/v1/products/mug")).json()["title"] == "another shop's mug"
        assert (await client.get("/v1/products/lamp")).status_code == 404
        assert (await client.get("/v1/products/mug/similar")).json()["hits"] == []
        assert (await client.post("/v1/search", json={"mix": [{"product": "mug"}]})).json()["hits"] == []
