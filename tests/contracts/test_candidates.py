"""The contract of CandidateReader, on the engine and on a server: the hits of a search, as columns."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np
import pytest

from catalog.domain.filters import AnyOf, Range
from catalog.domain.index_query import IndexQuery, ReciprocalRankFusion, WeightedFusion
from catalog.domain.product import ProductKey
from catalog.domain.space import FUSED, IMAGE
from catalog.errors import InvalidInput, Unavailable
from catalog.ports import Vector
from indexer import QdrantCandidateReader
from tests.contracts.test_product_writer import put
from tests.fakes import SPACE, unit
from tests.fixtures_engine import Subject, client_of, collection_at

QUERY = unit("query", SPACE.vectors[FUSED])


@dataclass(frozen=True)
class Shop:
    subject: Subject
    reader: QdrantCandidateReader


@pytest.fixture
async def shop(qdrant_url: str) -> AsyncIterator[Shop]:
    async with collection_at(qdrant_url, SPACE) as subject, client_of(qdrant_url) as client:
        yield Shop(subject, QdrantCandidateReader(client, collection=subject.collection, space=SPACE))


async def test_the_hits_of_a_search_as_columns(shop: Shop) -> None:
    keys = [ProductKey("shop", str(n)) for n in range(2100)] + [ProductKey("other", "1")]
    for start in range(0, len(keys), 250):
        batch = keys[start : start + 250]
        writes = [put(key, 5 + n, price=1.0 * n, attributes_brand="Arbour") for n, key in enumerate(batch)]
        await shop.subject.index.write(writes)
    columns = await shop.reader.candidates(
        IndexQuery(vector=QUERY, limit=5000), fields=["price", "title", "attributes.brand", "attributes.none", "none"]
    )
    hits = await shop.subject.shelf.search(IndexQuery(vector=QUERY, limit=5000))
    payloads = [dict(hit.payload) for hit in hits]
    assert len(hits) == len(keys)
    assert sorted(zip(columns.tenants, columns.ids, strict=True)) == sorted(hit.key for hit in hits)
    order = {hit.key: n for n, hit in enumerate(hits)}
    order_of_hits = [
        order[ProductKey(t, i)] for t, i in zip(columns.tenants, columns.ids, strict=True)
    ]  # equal scores come in any order
    np.testing.assert_allclose(columns.scores, [hits[n].score for n in order_of_hits], rtol=1e-6)
    assert columns.content_versions.tolist() == [payloads[n]["content_version"] for n in order_of_hits]
    assert columns.offer_versions.tolist() == [payloads[n]["offer_version"] for n in order_of_hits]
    assert columns.fields == {
        "price": [payloads[n]["price"] for n in order_of_hits],
        "title": [payloads[n]["title"] for n in order_of_hits],
        "attributes.brand": ["Arbour"] * len(order_of_hits),
        "attributes.none": [None] * len(order_of_hits),
        "none": [None] * len(order_of_hits),
    }
    assert (columns.scores.dtype, columns.content_versions.dtype) == (np.float32, np.int64)
    assert (np.diff(columns.scores) <= 0).all()


async def test_conditions_limit_and_the_dead_are_heeded(shop: Shop) -> None:
    writes = [put(ProductKey("shop", str(n)), 1, price=float(n)) for n in range(10)]
    gone = put(ProductKey("shop", "gone"), 1, price=1.0)
    gone.payload["live"] = False
    await shop.subject.index.write([*writes, gone])
    conditions = (AnyOf("tenant", ("shop",)), Range("price", gte=3))
    columns = await shop.reader.candidates(IndexQuery(vector=QUERY, limit=5, conditions=conditions))
    assert len(columns.ids) == 5
    assert set(columns.ids) <= {str(n) for n in range(3, 10)}
    nobody = await shop.reader.candidates(IndexQuery(vector=QUERY, conditions=(AnyOf("tenant", ("nobody",)),)))
    assert (list(nobody.ids), nobody.scores.shape) == ([], (0,))


async def test_what_was_changed_is_seen_by_the_next_query(shop: Shop) -> None:
    key = ProductKey("shop", "1")
    await shop.subject.index.write([put(key, 1, price=1.0)])
    query = IndexQuery(vector=QUERY, limit=10)
    before = await shop.reader.candidates(query, fields=["price"])
    repeated = await shop.reader.candidates(query, fields=["price"])
    states = await shop.subject.index.read_states([key])
    await shop.subject.index.write([put(key, 9, expect=states[key].revision, price=2.0)])
    after = await shop.reader.candidates(query, fields=["price"])
    assert before.fields == repeated.fields == {"price": [1.0]}
    assert (after.fields, after.content_versions.tolist()) == ({"price": [2.0]}, [9])


async def test_other_vectors_can_be_searched_and_wrong_ones_are_refused(shop: Shop) -> None:
    await shop.subject.index.write([put(ProductKey("shop", "1"), 1)])
    image = unit("1!", SPACE.vectors[IMAGE])
    assert (await shop.reader.candidates(IndexQuery(vector=image, using=IMAGE))).scores[0] == pytest.approx(1, abs=1e-5)
    with pytest.raises(InvalidInput, match="not one of the vectors"):
        await shop.reader.candidates(IndexQuery(vector=image))
    with pytest.raises(InvalidInput, match="quote"):
        await shop.reader.candidates(IndexQuery(vector=QUERY), fields=['attributes.a"b'])


async def test_words_alone_and_words_fused_with_vectors(shop: Shop) -> None:
    titles = ["red mug", "blue mug", "red lamp", "sofa"]
    await shop.subject.index.write([put(ProductKey("shop", title), 1, title=title) for title in titles])
    words = await shop.reader.candidates(IndexQuery(words="red mug", limit=10))
    assert words.ids[0] == "red mug"
    assert set(words.ids) == {"red mug", "blue mug", "red lamp"}
    for query in (
        IndexQuery(vector=QUERY, words="red mug", limit=3, pool=4),
        IndexQuery(vector=QUERY, words="red mug", limit=10, offset=1, fusion=ReciprocalRankFusion(k=10, dense=0.5)),
        IndexQuery(
            vector=QUERY,
            words="red mug",
            limit=10,
            fusion=WeightedFusion(0.3),
            conditions=(AnyOf("tenant", ("shop",)),),
        ),
        IndexQuery(vector=QUERY, words="red mug", limit=10, without=(ProductKey("shop", "sofa"),)),
    ):
        columns = await shop.reader.candidates(query, fields=["title"])
        hits = await shop.subject.shelf.search(query)
        assert list(columns.ids) == [hit.key.id for hit in hits]
        np.testing.assert_allclose(columns.scores, [hit.score for hit in hits], rtol=1e-6)
        assert columns.fields["title"] == list(columns.ids)


async def test_an_answer_that_would_come_too_late_is_not_waited_for(shop: Shop) -> None:
    with pytest.raises(Unavailable, match="within"):
        await shop.reader.candidates(IndexQuery(vector=QUERY, within_s=1e-6))


async def test_an_index_that_is_away_is_unavailable() -> None:
    async with client_of("http://127.0.0.1:1") as client:
        reader = QdrantCandidateReader(client, collection="none", space=SPACE, timeout_s=1)
        with pytest.raises(Unavailable):
            await reader.candidates(IndexQuery(vector=QUERY))


@pytest.mark.parametrize("vector", [None, QUERY])
async def test_words_and_both_are_searched_as_a_shelf_does(shop: Shop, vector: Vector | None) -> None:
    titles = ("red mug", "blue mug", "red lamp", "green lamp")
    await shop.subject.index.write([put(ProductKey("shop", str(n)), 1, title=title) for n, title in enumerate(titles)])
    query = IndexQuery(vector=vector, words="red mug", limit=2, offset=1, without=(ProductKey("shop", "2"),))
    hits = await shop.subject.shelf.search(query)
    columns = await shop.reader.candidates(query, fields=["title"])
    assert list(columns.ids) == [hit.key.id for hit in hits]
    assert columns.scores.tolist() == pytest.approx([hit.score for hit in hits])
    assert columns.fields["title"] == [hit.payload["title"] for hit in hits]
