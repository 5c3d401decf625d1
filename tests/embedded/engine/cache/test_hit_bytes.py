"""Queries that name a few payload fields, whose hits are cached: they always equal the stored points."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from qdrant_client import QdrantClient, models

from tests.embedded.engine.shelves import DIM, make_collection, served, vector

FIELDS = ["n", "color", "parts.kind"]


def point(n: int, /, **payload: object) -> models.PointStruct:
    vectors = {"fused": vector(n), "words": models.SparseVector(indices=[n % 7], values=[1.0])}
    return models.PointStruct(id=n, vector=vectors, payload=payload)


def both(client: QdrantClient, name: str, **options: object) -> tuple[list[object], list[object]]:
    """Hits with their payload reduced to FIELDS: by the engine, and here from complete payloads."""
    query = {"query": vector(0), "using": "fused", "limit": 100} | options
    cached = client.query_points(name, with_payload=FIELDS, **query).points  # type: ignore[arg-type]
    read = client.query_points(name, with_payload=True, **query).points  # type: ignore[arg-type]
    for hit in cached:
        hit.payload = hit.payload or {}
    for hit in read:
        hit.payload = cut(hit.payload or {})
    return ordered(cached), ordered(read)


def ordered(hits: Sequence[models.ScoredPoint]) -> list[object]:
    """Hits of equal scores by their ids, because the engine returns them in any order."""
    return [hit.model_dump() for hit in sorted(hits, key=lambda hit: (-hit.score, hit.id))]


def cut(payload: dict[str, object]) -> dict[str, object]:
    fields = {field: payload[field] for field in ("n", "color") if field in payload}
    parts = payload.get("parts")
    if isinstance(parts, dict):
        fields["parts"] = {"kind": parts["kind"]} if "kind" in parts else {}
    return fields


CHANGES: list[Callable[[QdrantClient, str, int, int], object]] = [
    lambda c, name, n, seed: c.upsert(name, [point(n, n=seed, color="blue", parts={"kind": "a", "size": seed})]),
    lambda c, name, n, seed: c.set_payload(name, {"color": f"color {seed}"}, points=[n]),
    lambda c, name, n, seed: c.overwrite_payload(name, {"n": seed, "other": True}, points=[n]),
    lambda c, name, n, seed: c.delete_payload(name, ["color"], points=[n]),
    lambda c, name, n, seed: c.clear_payload(name, points_selector=[n]),
    lambda c, name, n, seed: c.delete(name, points_selector=[n]),
    lambda c, name, n, seed: c.update_vectors(name, [models.PointVectors(id=n, vector={"fused": vector(seed)})]),
]


@pytest.mark.parametrize("seed", range(5))
def test_after_any_changes_the_hits_equal_the_stored_points(client: QdrantClient, shelf: str, seed: int) -> None:
    rng = random.Random(seed)
    client.upsert(shelf, [point(n, n=n, color="red", parts={"kind": "b"}, long="x" * 300) for n in range(1, 40)])
    for step in range(40):
        change, n = rng.choice(CHANGES), rng.randint(1, 39)
        stored = {hit.id for hit in client.scroll(shelf, limit=100)[0]}
        if n in stored or change is CHANGES[0]:
            change(client, shelf, n, step)
        cached, read = both(client, shelf)
        assert cached == read, (step, n)


def test_fused_channels_offsets_and_a_point_in_place_of_a_vector(client: QdrantClient, shelf: str) -> None:
    client.upsert(shelf, [point(n, n=n, color="red", parts={"kind": "b"}) for n in range(1, 40)])
    words = models.SparseVector(indices=[3], values=[1.0])
    channels = [
        models.Prefetch(query=vector(1), using="fused", limit=20),
        models.Prefetch(query=words, using="words", limit=20),
    ]
    fused = models.RrfQuery(rrf=models.Rrf(k=60))
    for options in (
        {"prefetch": channels, "query": fused, "using": None},
        {"query": words, "using": "words"},
        {"query": 7, "offset": 3},
        {"score_threshold": 0.1},
        {"limit": 0},
    ):
        cached, read = both(client, shelf, **options)
        assert cached == read, options


@pytest.mark.parametrize("payloads", [[FIELDS, FIELDS], [FIELDS, ["n"]], [FIELDS, True], [False, FIELDS]])
def test_queries_of_a_batch_have_each_its_fields(
    client: QdrantClient, shelf: str, payloads: list[list[str] | bool]
) -> None:
    client.upsert(shelf, [point(n, n=n, color="red", parts={"kind": "b"}) for n in range(1, 40)])
    requests = [
        models.QueryRequest(query=vector(n), using="fused", limit=5 + n, with_payload=payload)
        for n, payload in enumerate(payloads)
    ]
    batch = client.query_batch_points(shelf, requests)
    for n, (payload, response) in enumerate(zip(payloads, batch, strict=True)):
        alone = client.query_points(shelf, query=vector(n), using="fused", limit=5 + n, with_payload=payload)
        assert ordered(response.points) == ordered(alone.points)
        assert len(response.points) == 5 + n


@pytest.mark.parametrize("ids", ["numbers", "uuids", "both"])
def test_hits_without_payload_are_those_with_one(client: QdrantClient, shelf: str, ids: str) -> None:
    all_ids = {"numbers": range(1, 41), "uuids": [str(uuid.UUID(int=n)) for n in range(1, 41)]}
    all_ids["both"] = [*all_ids["numbers"][:20], *all_ids["uuids"][:20]]  # the same numbers
    points = [
        models.PointStruct(id=i, vector={"fused": vector(n)}, payload={"n": n}) for n, i in enumerate(all_ids[ids])
    ]
    client.upsert(shelf, points)
    for change in range(3):
        with_payload = client.query_points(shelf, query=vector(0), using="fused", limit=40, with_payload=True).points
        without = client.query_points(shelf, query=vector(0), using="fused", limit=40, with_payload=False).points
        assert not any(hit.payload for hit in without)
        assert [(h.id, h.score, h.version) for h in without] == [(h.id, h.score, h.version) for h in with_payload]
        assert len(without) == 40 - change
        client.delete(shelf, points_selector=[points[change].id])
        client.set_payload(shelf, {"n": -1}, points=[points[30].id])


def test_a_collection_of_the_same_name_is_another(client: QdrantClient) -> None:
    name = make_collection(client)
    client.upsert(name, [point(1, n=1)])
    assert both(client, name)[0]
    client.delete_collection(name)
    make_collection(client, name)
    client.upsert(name, [point(1, n=2)])
    cached, read = both(client, name)
    assert cached == read
    client.delete_collection(name)


def test_points_with_uuids_and_after_a_restart(tmp_path: Path) -> None:
    ids = [f"00000000-0000-0000-0000-{n:012x}" for n in range(1, 20)]
    for change in range(2):
        with served(tmp_path) as client:
            name = "stock" if change else make_collection(client, "stock")
            points = [models.PointStruct(id=i, vector={"fused": [0.1] * DIM}, payload={"n": change}) for i in ids]
            client.upsert(name, points[:: change + 1])
            for _ in range(2):
                cached, read = both(client, name)
                assert cached == read
                assert len(cached) == len(ids)
