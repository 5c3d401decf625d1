"""Queries with a filter on a flag that nearly all points pass: the filter is applied to the hits."""

from __future__ import annotations

import random

import pytest
from qdrant_client import QdrantClient, models

from tests.embedded.engine.shelves import vector

LIVE = models.Filter(must=[models.FieldCondition(key="live", match=models.MatchValue(value=True))])
WORDS = models.SparseVector(indices=[1], values=[1.0])


def point(n: int, *, live: bool) -> models.PointStruct:
    words = models.SparseVector(indices=[1], values=[1.0 + n])
    return models.PointStruct(id=n, vector={"fused": vector(n), "words": words}, payload={"live": live})


def post_filtered(client: QdrantClient, name: str, **options: object) -> list[tuple[object, float]]:
    query = {"query": vector(0), "using": "fused", "limit": 20, "query_filter": LIVE} | options
    hits = client.query_points(name, with_payload=False, **query).points  # type: ignore[arg-type]
    return [(hit.id, hit.score) for hit in hits]


def filtered(client: QdrantClient, name: str, **options: object) -> list[tuple[object, float]]:
    """The same by a search that filters every point, as all do that return complete payloads."""
    query = {"query": vector(0), "using": "fused", "limit": 20, "query_filter": LIVE} | options
    hits = client.query_points(name, with_payload=True, **query).points  # type: ignore[arg-type]
    assert all((hit.payload or {})["live"] for hit in hits)
    return [(hit.id, hit.score) for hit in hits]


@pytest.mark.parametrize("seed", range(4))
def test_hits_are_those_of_a_filtered_search_whatever_changed(client: QdrantClient, shelf: str, seed: int) -> None:
    rng = random.Random(seed)
    client.upsert(shelf, [point(n, live=True) for n in range(1, 60)])
    for step in range(300):
        if step % 3 == 0:
            n = rng.randint(1, 59)
            # Sometimes a point that must not be a hit, rarely enough that all hits are expected to pass.
            client.upsert(shelf, [point(n, live=step % 123 != 0)])
        if step % 123 == 122:
            client.set_payload(shelf, {"live": True}, points=list(range(1, 60)))
        for options in ({}, {"query": WORDS, "using": "words"}, {"offset": 5}, {"limit": 100}):
            assert post_filtered(client, shelf, **options) == filtered(client, shelf, **options), (step, options)


def test_each_query_of_a_batch_has_its_own_filter(client: QdrantClient, shelf: str) -> None:
    client.upsert(shelf, [point(n, live=n % 10 != 0) for n in range(1, 60)])
    dead = models.Filter(must=[models.FieldCondition(key="live", match=models.MatchValue(value=False))])
    filters = [LIVE, dead, None, models.Filter(must_not=LIVE.must)]
    requests = [models.QueryRequest(query=vector(0), using="fused", limit=100, filter=filter_) for filter_ in filters]
    for _ in range(2):
        live, not_live, all_, neither = (
            {hit.id for hit in response.points} for response in client.query_batch_points(shelf, requests)
        )
        assert not_live == neither == {10, 20, 30, 40, 50}
        assert live == all_ - not_live
        assert len(all_) == 59


def test_a_collection_where_none_passes_has_no_hits(client: QdrantClient, shelf: str) -> None:
    client.upsert(shelf, [point(n, live=False) for n in range(1, 10)])
    assert post_filtered(client, shelf) == post_filtered(client, shelf) == []
    client.set_payload(shelf, {"live": True}, points=[3])
    assert [n for n, _ in post_filtered(client, shelf)] == [3]
