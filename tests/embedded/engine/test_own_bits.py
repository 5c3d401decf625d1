"""Searches by the engine's default quantization of four bits: the hits equal those of an exact search."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from qdrant_client import QdrantClient, models

from embedded.engine.process import EngineProcess
from tests.embedded.engine.shelves import connect

DIM = 128
COUNT = 3000


def drawn(count: int, seed: int) -> NDArray[np.float32]:
    """Vectors in dense clusters, whose members four bits hardly distinguish: float32 (count, DIM)."""
    centres = np.random.default_rng(0).standard_normal((30, DIM))
    rng = np.random.default_rng(seed)
    vectors = centres[rng.integers(0, 30, count)] + 0.15 * rng.standard_normal((count, DIM))
    return vectors.astype(np.float32)


def make(client: QdrantClient, name: str, distance: models.Distance, **more: Any) -> str:
    vectors = {"fused": models.VectorParams(size=DIM, distance=distance)}
    client.create_collection(name, vectors_config=vectors, **more)
    put(client, name, range(COUNT), drawn(COUNT, 1))
    return name


def put(client: QdrantClient, name: str, ids: range, vectors: NDArray[np.float32]) -> None:
    rows = zip(ids, vectors.tolist(), strict=True)
    points = [models.PointStruct(id=n, vector={"fused": vector}, payload={"n": n}) for n, vector in rows]
    for start in range(0, len(points), 1000):
        client.upsert(name, points[start : start + 1000])


def search(client: QdrantClient, name: str, query: NDArray[np.float32], **changes: Any) -> list[models.ScoredPoint]:
    options = {"limit": 10, "with_payload": False} | changes
    return client.query_points(name, query=query.tolist(), using="fused", **options).points


EXACT = models.SearchParams(exact=True)


@pytest.fixture(scope="module", params=[models.Distance.COSINE, models.Distance.DOT, models.Distance.EUCLID])
def shelf(client: QdrantClient, request: pytest.FixtureRequest) -> Iterator[str]:
    yield make(client, f"bits-{request.param.lower()}", request.param)
    client.delete_collection(f"bits-{request.param.lower()}")


@pytest.mark.parametrize("changes", [{}, {"limit": 200}, {"limit": 10, "offset": 25}, {"limit": 1000}, {"filter": 700}])
def test_the_nearest_are_found_with_their_own_scores(client: QdrantClient, shelf: str, changes: dict[str, int]) -> None:
    options: dict[str, Any] = dict(changes)
    if below := options.pop("filter", None):
        options["query_filter"] = models.Filter(must=[models.FieldCondition(key="n", range=models.Range(lt=below))])
    shares = []
    for query in drawn(20, 2):
        exact = {hit.id: hit.score for hit in search(client, shelf, query, search_params=EXACT, **options)}
        hits = {hit.id: hit.score for hit in search(client, shelf, query, **options)}
        shares.append(len(exact.keys() & hits.keys()) / len(exact))
        assert len(hits) == len(exact)
        both = sorted(exact.keys() & hits.keys())
        assert [hits[n] for n in both] == pytest.approx([exact[n] for n in both], rel=1e-5)
    assert np.mean(shares) >= 0.99


def test_a_threshold_is_compared_with_the_scores_of_the_hits(client: QdrantClient, shelf: str) -> None:
    for query in drawn(5, 3):
        scores = [hit.score for hit in search(client, shelf, query, limit=20)]
        good = search(client, shelf, query, limit=20, score_threshold=(scores[9] + scores[10]) / 2)
        assert [hit.score for hit in good] == scores[:10]


def test_a_quantization_of_the_request_replaces_the_default(client: QdrantClient) -> None:
    quantization = models.ScalarQuantization(scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8))
    name = make(client, "bits-named", models.Distance.COSINE, quantization_config=quantization)
    query = drawn(1, 2)[0]
    assert search(client, name, query) == search(client, name, query, search_params=EXACT)
    client.delete_collection(name)


def test_points_written_before_a_crash_are_hits_after_it(tmp_path: Path) -> None:
    changed = drawn(COUNT, 4)
    with EngineProcess.start(tmp_path) as engine:
        client = connect(engine.port)
        make(client, "stock", models.Distance.COSINE)
        put(client, "stock", range(COUNT // 2), changed[: COUNT // 2])
        engine.kill()
        client.close()
    with EngineProcess.start(tmp_path) as engine:
        client = connect(engine.port)
        put(client, "stock", range(COUNT, COUNT + 10), changed[-10:])
        for query in changed[:: COUNT // 20]:
            exact = {hit.id for hit in search(client, "stock", query, search_params=EXACT)}
            assert len(exact & {hit.id for hit in search(client, "stock", query)}) >= 9
        client.close()
