"""The weighted sum of a query's parts. The shop is the one of the HTTP tests, without HTTP."""

from __future__ import annotations

import numpy as np
import pytest

from catalog.domain.product import ProductKey
from catalog.domain.space import IMAGE
from catalog.errors import InvalidInput, NotFound
from catalog.ports import Vector
from catalog.query.query import Query, QueryPart
from tests.search.shop import Shop, bag, photo, stocked

MUG, LAMP, BLUE = ProductKey("default", "mug"), ProductKey("default", "lamp"), ProductKey("default", "mug/blue")


def weighted_sum(*parts: tuple[str, float]) -> Vector:
    total = sum(np.float32(weight) * bag(text) for text, weight in parts)
    return np.asarray(total / np.linalg.norm(total), np.float32)


def searched_vector(shop: Shop) -> Vector:
    vector = shop.shelf.queries[-1].vector
    assert vector is not None
    return vector


async def test_parts_are_summed_by_weight_and_have_length_one() -> None:
    shop = stocked()
    parts = (QueryPart("green mug"), QueryPart("brass", weight=-0.5), QueryPart(image=photo(), weight=2.0))
    await shop.search_service()(Query(parts))
    vector = searched_vector(shop)
    np.testing.assert_allclose(vector, weighted_sum(("green mug", 1), ("brass", -0.5), ("a photo", 2)), atol=1e-6)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)


async def test_a_part_of_weight_zero_and_blank_words_are_ignored() -> None:
    shop = stocked()
    await shop.search_service()(Query((QueryPart("mug"), QueryPart("lamp", weight=0.0), QueryPart("  \n"))))
    assert shop.encoder.calls == [("mug", None)]


async def test_words_and_a_picture_in_one_part_are_read_together() -> None:
    shop = stocked()
    await shop.search_service()(Query((QueryPart(" mug ", photo()),)))
    assert shop.encoder.calls == [("mug", photo())]


async def test_a_product_is_a_part_by_its_own_vector_and_is_no_hit_itself() -> None:
    shop = stocked()
    result = await shop.search_service()(Query((QueryPart(product=MUG), QueryPart("blue", weight=0.5))))
    np.testing.assert_allclose(searched_vector(shop), weighted_sum(("sea green mug", 1), ("blue", 0.5)), atol=1e-6)
    assert MUG not in [hit.key for hit in result.hits]
    assert BLUE in [hit.key for hit in result.hits]


async def test_which_vectors_are_compared_can_be_chosen() -> None:
    shop = stocked()
    await shop.search_service()(Query((QueryPart(product=MUG),), using=IMAGE))
    np.testing.assert_allclose(searched_vector(shop), bag("sea green mug"[::2]), atol=1e-6)
    with pytest.raises(InvalidInput, match="has no vector 'image'"):
        await shop.search_service()(Query((QueryPart(product=BLUE),), using=IMAGE))


@pytest.mark.parametrize(
    "parts",
    [
        (QueryPart("mug"), QueryPart("mug", weight=-1.0)),
        (QueryPart("mug", weight=0.5), QueryPart("mug", weight=0.5), QueryPart("mug", weight=-1.0)),
        (QueryPart("mug", weight=100.0), QueryPart("mug", weight=-99.99)),
    ],
)
async def test_parts_that_cancel_each_other_out_are_invalid_input(parts: tuple[QueryPart, ...]) -> None:
    with pytest.raises(InvalidInput, match="cancel each other out"):
        await stocked().search_service()(Query(parts))


@pytest.mark.parametrize(
    "key", [ProductKey("default", "none"), ProductKey("default", "gone"), ProductKey("nobody", "mug")]
)
async def test_a_product_that_is_not_there_is_named(key: ProductKey) -> None:
    search = stocked().search_service()
    with pytest.raises(NotFound, match=f"no live product {key.id!r} of tenant {key.tenant!r}"):
        await search(Query((QueryPart(product=key),)))
    with pytest.raises(NotFound, match="no live product"):
        await search.similar(key, Query())
