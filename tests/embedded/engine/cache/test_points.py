"""Payloads read by id without some fields, which are cached: they always equal the stored points."""

from __future__ import annotations

import random
import uuid

import pytest
from qdrant_client import QdrantClient, models

from tests.embedded.engine.cache.test_hit_bytes import CHANGES, point
from tests.embedded.engine.shelves import vector

SELECTOR = models.PayloadSelectorExclude(exclude=["parts"])


def both(client: QdrantClient, name: str, ids: list[int | str]) -> tuple[list[object], list[object]]:
    """The points from the cache, and as the engine reads them."""
    cached = client.retrieve(name, ids, with_payload=SELECTOR)
    read = client.retrieve(name, ids, with_payload=True)
    for record in read:
        (record.payload or {}).pop("parts", None)
    return [record.model_dump() for record in cached], [record.model_dump() for record in read]


@pytest.mark.parametrize("seed", range(5))
def test_after_any_changes_the_cached_points_equal_the_stored_ones(client: QdrantClient, shelf: str, seed: int) -> None:
    rng = random.Random(seed)
    client.upsert(shelf, [point(n, n=n, color="red", parts={"kind": "b"}) for n in range(1, 40)])
    for step in range(60):
        change, n = rng.choice(CHANGES), rng.randint(1, 39)
        stored = {hit.id for hit in client.scroll(shelf, limit=100)[0]}
        if n in stored or change is CHANGES[0]:
            change(client, shelf, n, step)
        cached, read = both(client, shelf, rng.sample(range(1, 45), 20))
        assert cached == read, (step, n)


def test_points_without_the_vector_that_has_their_version_are_read_again(client: QdrantClient, shelf: str) -> None:
    points = [point(1, n=1), models.PointStruct(id=2, vector={}, payload={"n": 2})]
    client.upsert(shelf, points)
    for n in (3, 4):
        client.set_payload(shelf, {"n": n}, points=[1, 2])
        cached, read = both(client, shelf, [2, 1, 3])
        assert cached == read
        assert len(cached) == 2
    client.delete_vectors(shelf, ["fused"], points=[1])
    client.set_payload(shelf, {"n": 5}, points=[1])
    cached, read = both(client, shelf, [1])
    assert cached == read


def test_numbers_and_uuids_and_a_repeated_id(client: QdrantClient, shelf: str) -> None:
    ids: list[int | str] = [5, str(uuid.UUID(int=5)), 6]
    points = [models.PointStruct(id=i, vector={"fused": vector(n)}, payload={"n": n}) for n, i in enumerate(ids)]
    client.upsert(shelf, points)
    for _ in range(2):
        cached, read = both(client, shelf, [*ids, 5])
        assert cached == read


def test_other_excluded_fields_give_another_response(client: QdrantClient, shelf: str) -> None:
    client.upsert(shelf, [point(1, a=1, b=2, c=3)])
    for excluded in (["a"], ["b"], ["c"], ["a"], ["a", "b"]):
        (record,) = client.retrieve(shelf, [1], with_payload=models.PayloadSelectorExclude(exclude=excluded))
        assert set(record.payload or {}) == {"a", "b", "c"} - set(excluded)
