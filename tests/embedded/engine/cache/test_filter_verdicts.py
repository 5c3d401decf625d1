"""Queries filtered by a flag that nearly all points have, whose hits are judged when they are found."""

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


def judged(client: QdrantClient, name: str, **asked: object) -> list[tuple[object, float]]:
    query = {"query": vector(0), "using": "fused", "limit": 20, "query_filter": LIVE} | asked
    found = client.query_points(name, with_payload=False, **query).points  # type: ignore[arg-type]
    return [(hit.id, hit.score) for hit in found]


def filtered(client: QdrantClient, name: str, **asked: object) -> list[tuple[object, float]]:
    """The same by a search that judges every point, as all do that bring whole payloads."""
    query = {"query": vector(0), "using": "fused", "limit": 20, "query_filter": LIVE} | asked
    found = client.query_points(name, with_payload=True, **query).points  # type: ignore[arg-type]
    assert all((hit.payload or {})["live"] for hit in found)
    return [(hit.id, hit.score) for hit in found]


@pytest.mark.parametrize("seed", range(4))
def test_hits_are_those_of_a_filtered_search_whatever_changed(client: QdrantClient, shelf: str, seed: int) -> None:
    rng = random.Random(seed)
    client.upsert(shelf, [point(n, live=True) for n in range(1, 60)])
    for step in range(300):
        if step % 3 == 0:
            n = rng.randint(1, 59)
            # Now and then one that hits are not to have, long enough apart for it to be expected of none.
            client.upsert(shelf, [point(n, live=step % 123 != 0)])
        if step % 123 == 122:
            client.set_payload(shelf, {"live": True}, points=list(range(1, 60)))
        for asked in ({}, {"query": WORDS, "using": "words"}, {"offset": 5}, {"limit": 100}):
            assert judged(client, shelf, **asked) == filtered(client, shelf, **asked), (step, asked)


def test_each_query_of_a_batch_has_its_own_filter(client: QdrantClient, shelf: str) -> None:
    client.upsert(shelf, [point(n, live=n % 10 != 0) for n in range(1, 60)])
    dead = models.Filter(must=[models.FieldCondition(key="live", match=models.MatchValue(value=False))])
    filters = [LIVE, dead, None, models.Filter(must_not=LIVE.must)]
    asked = [models.QueryRequest(query=vector(0), using="fused", limit=100, filter=each) for each in filters]
    for _ in range(2):
        live, not_live, all_, neither = (
            {hit.id for hit in found.points} for found in client.query_batch_points(shelf, asked)
        )
        assert not_live == neither == {10, 20, 30, 40, 50}
        assert live == all_ - not_live
        assert len(all_) == 59


def test_a_collection_where_none_passes_has_no_hits(client: QdrantClient, shelf: str) -> None:
    client.upsert(shelf, [point(n, live=False) for n in range(1, 10)])
    assert judged(client, shelf) == judged(client, shelf) == []
    client.set_payload(shelf, {"live": True}, points=[3])
    assert [n for n, _ in judged(client, shelf)] == [3]
