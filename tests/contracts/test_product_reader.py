"""The contract of ProductReader and VectorReader, for the fake and the real index."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from catalog.domain.filters import AnyOf
from catalog.domain.index_query import Fusion, IndexQuery, ReciprocalRankFusion, WeightedFusion
from catalog.domain.product import ProductKey
from catalog.domain.space import FUSED, IMAGE
from catalog.ports import Hit
from catalog.query.rank_fusion import fused
from tests.contracts.test_product_writer import keys, patch, put, revision, tombstone, vectors
from tests.fakes import unit
from tests.fixtures_engine import Subject

TITLES = (
    "Red wool sweater",
    "Blue cotton shirt, red collar",
    "Éclair au chocolat",
    "Ключ 4K",
    "Running shoes 42",
    "The red red red mug",
)

WORDS: dict[str, set[int]] = {
    "sweater": {0},
    "SWEATER!": {0},
    "red": {0, 1, 5},
    "eclair": {2},
    "éclair chocolat": {2},
    "ключ": {3},
    "4k 42": {3, 4},
    "the": {5},
    "sweat": set(),
    "nothing of this": set(),
    "?!": set(),
    "": set(),
}


async def filled(subject: Subject, titles: tuple[str, ...] = TITLES) -> list[ProductKey]:
    product_keys = keys(len(titles))
    writes = [
        put(key, 1, title=title, attributes_brand=title[:1]) for key, title in zip(product_keys, titles, strict=True)
    ]
    assert not (await subject.index.write(writes)).invalid
    return product_keys


def ids(hits: list[Hit]) -> list[str]:
    return [hit.key.id for hit in hits]


def pairs(hits: list[Hit]) -> list[tuple[ProductKey, float]]:
    return [(hit.key, hit.score) for hit in hits]


async def test_words_are_found_in_titles(subject: Subject) -> None:
    product_keys = await filled(subject)
    for words, expected in WORDS.items():
        hits = await subject.shelf.search(IndexQuery(words=words, limit=10))
        assert {hit.key for hit in hits} == {product_keys[n] for n in expected}, words
        assert all(hit.score > 0 and "title" in hit.payload for hit in hits)


async def test_more_of_the_words_are_better(subject: Subject) -> None:
    await filled(subject)
    assert ids(await subject.shelf.search(IndexQuery(words="a red cotton shirt", limit=2)))[0] == "sku-1"


async def test_words_of_a_product_that_left_or_changed_are_found_no_more(subject: Subject) -> None:
    gone, renamed, priced = keys(3)
    first = [put(key, 1, title="red mug") for key in (gone, renamed, priced)]
    await subject.index.write(first)
    second = [
        tombstone(gone, 2, expect=revision(first[0])),
        put(renamed, 2, expect=revision(first[1]), title="blue mug"),
        patch(priced, 2, expect=revision(first[2]), price=9.0),
    ]
    assert not (await subject.index.write(second)).conflicts
    (hit,) = await subject.shelf.search(IndexQuery(words="red"))
    assert (hit.key, hit.payload["price"], hit.payload["title"]) == (priced, 9.0, "red mug")


async def test_titles_without_words_are_found_by_their_looks(subject: Subject) -> None:
    product_keys = await filled(subject, ("", "?!", " "))
    assert await subject.shelf.search(IndexQuery(words="mug")) == []
    for words in (None, "mug"):
        hits = await subject.shelf.search(IndexQuery(vector=unit("q", 8), words=words))
        assert {hit.key for hit in hits} == set(product_keys)


FUSIONS: tuple[Fusion, ...] = (
    ReciprocalRankFusion(),
    ReciprocalRankFusion(k=1, dense=0.5, lexical=2.0),
    WeightedFusion(),
    WeightedFusion(dense=0.9),
)


async def test_a_hybrid_search_is_the_fusion_of_its_channels(subject: Subject) -> None:
    await filled(subject)
    query = unit("query", 8)
    dense = await subject.shelf.search(IndexQuery(vector=query, limit=4))
    lexical = await subject.shelf.search(IndexQuery(words="red shoes", limit=4))
    for fusion in FUSIONS:
        hits = await subject.shelf.search(IndexQuery(vector=query, words="red shoes", fusion=fusion, pool=4, limit=4))
        expected = fused(fusion, pairs(dense), pairs(lexical))
        assert {hit.key: hit.score for hit in hits} == {key: pytest.approx(score) for key, score in expected[:4]}
        assert all(hit.payload["title"] for hit in hits)


QUERIES = (
    IndexQuery(vector=unit("q", 8)),
    IndexQuery(words="red mug sweater"),
    IndexQuery(vector=unit("q", 8), words="red mug"),
)


async def test_pages_make_up_the_whole(subject: Subject) -> None:
    await filled(subject)
    for query in QUERIES:
        ranking = await subject.shelf.search(replace(query, limit=6))
        assert len(ranking) >= 3
        paged = [h for n in range(0, 6, 2) for h in await subject.shelf.search(replace(query, limit=2, offset=n))]
        assert ids(paged) == ids(ranking)
        assert await subject.shelf.search(replace(query, limit=2, offset=6)) == []


async def test_what_is_left_out_is_no_hit(subject: Subject) -> None:
    product_keys = await filled(subject)
    without = (product_keys[0], product_keys[3], ProductKey("other", "sku-1"), ProductKey("shop", "none"))
    for query in QUERIES:
        keys_found = {hit.key for hit in await subject.shelf.search(replace(query, without=without))}
        assert keys_found == (
            {product_keys[1], product_keys[5]}
            if query.vector is None
            else {*product_keys} - {product_keys[0], product_keys[3]}
        )


async def test_conditions_hold_in_every_channel(subject: Subject) -> None:
    await filled(subject)
    for query in QUERIES:
        hits = await subject.shelf.search(replace(query, conditions=(AnyOf("attributes.brand", ("R", "T")),)))
        assert set(ids(hits)) == ({"sku-0", "sku-5"} if query.vector is None else {"sku-0", "sku-4", "sku-5"})


async def test_how_it_is_searched_changes_nothing_on_a_small_shelf(subject: Subject) -> None:
    await filled(subject)
    queries = [
        IndexQuery(vector=unit("q", 8)),
        IndexQuery(vector=unit("q", 8), exact=True),
        IndexQuery(vector=unit("q", 8), ef=16),
    ]
    queries.append(IndexQuery(vector=unit("q", 8), within_s=30.0))
    first, *others = [ids(await subject.shelf.search(query)) for query in queries]
    assert all(other == first for other in others)


async def test_by_the_photo_alone(subject: Subject) -> None:
    product_keys = await filled(subject)
    hits = await subject.shelf.search(IndexQuery(vector=vectors("sku-2")[IMAGE], using=IMAGE, limit=1))
    assert ids(hits) == [product_keys[2].id]
    assert hits[0].score == pytest.approx(1.0, abs=1e-5)


async def test_what_a_product_looks_like(subject: Subject) -> None:
    (key, gone, plain), never = keys(3), ProductKey("shop", "never")
    first = [put(key, 1), put(gone, 1), put(plain, 1)]
    first[2] = replace(first[2], vectors={FUSED: unit("plain", 8)})
    await subject.index.write(first)
    await subject.index.write([tombstone(gone, 2, expect=revision(first[1]))])
    seen = await subject.looks.vectors(key)
    assert seen is not None
    assert {name: (v.dtype, v.shape) for name, v in seen.items()} == {
        FUSED: (np.float32, (8,)),
        IMAGE: (np.float32, (4,)),
    }
    for name, vector in vectors(key.id).items():
        np.testing.assert_allclose(seen[name], vector, atol=1e-6)
    alone = await subject.looks.vectors(plain)
    assert alone is not None
    assert set(alone) == {FUSED}
    assert await subject.looks.vectors(gone) is None
    assert await subject.looks.vectors(never) is None
