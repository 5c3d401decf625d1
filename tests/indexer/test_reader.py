"""Tests of the Qdrant reader that its contract (tests/contracts) does not cover."""

from __future__ import annotations

import numpy as np
import pytest

from catalog.domain.index_query import IndexQuery
from catalog.domain.product import ProductKey
from catalog.errors import InvalidInput, Unavailable
from indexer import GraphPolicy, QdrantFacetReader, QdrantReader
from tests.contracts.test_product_writer import put
from tests.fakes import SPACE, unit
from tests.fixtures_engine import client_of, collection_at

QUERY = unit("query", 8)


async def test_a_search_that_takes_too_long_is_cancelled_and_opens_no_circuit(qdrant_url: str) -> None:
    async with collection_at(qdrant_url, SPACE) as subject:
        await subject.index.write([put(ProductKey("shop", "1"), 1)])
        for query in (
            IndexQuery(vector=QUERY, within_s=1e-6),
            IndexQuery(vector=QUERY, words="mug", within_s=1e-6),
        ) * 5:
            with pytest.raises(Unavailable, match="did not search within 1e-06 s"):
                await subject.shelf.search(query)
        assert len(await subject.shelf.search(IndexQuery(vector=QUERY, words="mug", within_s=60))) == 1


async def test_an_impossible_query_is_invalid_input(qdrant_url: str) -> None:
    async with collection_at(qdrant_url, SPACE) as subject:
        for query, reason in (
            (IndexQuery(), "needs a vector or words"),
            (IndexQuery(vector=unit("q", 7)), "is not one of the vectors 'fused'"),
            (IndexQuery(vector=np.full(8, np.nan, np.float32)), "is not one of the vectors"),
            (IndexQuery(vector=QUERY, using="lexical"), "is not one of the vectors 'lexical'"),
            (IndexQuery(words="\ud800"), "not text"),
        ):
            with pytest.raises(InvalidInput, match=reason):
                await subject.shelf.search(query)


async def test_the_policy_of_the_graph_reaches_qdrant(qdrant_url: str) -> None:
    policy = GraphPolicy(ef=64, rescore=True, oversampling=2.0)
    async with collection_at(qdrant_url, SPACE) as subject, client_of(qdrant_url) as client:
        await subject.index.write([put(ProductKey("shop", str(n)), 1) for n in range(20)])
        reader = QdrantReader(client, collection=subject.collection, space=SPACE, policy=policy)
        plain = await subject.shelf.search(IndexQuery(vector=QUERY))
        assert [hit.key for hit in await reader.search(IndexQuery(vector=QUERY))] == [hit.key for hit in plain]


async def test_fields_are_read_again_after_a_while(qdrant_url: str) -> None:
    now = 100.0
    async with collection_at(qdrant_url, SPACE) as subject, client_of(qdrant_url) as client:
        facets = QdrantFacetReader(client, collection=subject.collection, fresh_s=5.0, clock=lambda: now)
        await subject.index.write([put(ProductKey("shop", "1"), 1, attributes_size=1)])
        assert "attributes.size" in await facets.fields()
        await subject.index.write([put(ProductKey("shop", "2"), 1, attributes_fit="slim")])
        now = 104.0
        assert "attributes.fit" not in await facets.fields()
        now = 106.0
        assert "attributes.fit" in await facets.fields()
