"""Helpers of the engine's tests: a small collection, different vectors, and expected refusals."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from qdrant_client import QdrantClient, models

from embedded.engine.process import EngineProcess

DIM = 16


def vector(seed: int) -> list[float]:
    rng = random.Random(seed)
    return [rng.uniform(-1, 1) for _ in range(DIM)]


def make_collection(client: QdrantClient, name: str = "") -> str:
    """A collection with a dense vector `fused` and a sparse vector `words`, under a new name."""
    name = name or f"c-{uuid.uuid4().hex[:8]}"
    client.create_collection(
        name,
        vectors_config={"fused": models.VectorParams(size=DIM, distance=models.Distance.COSINE, on_disk=True)},
        sparse_vectors_config={"words": models.SparseVectorParams(modifier=models.Modifier.IDF)},
    )
    return name


def newer(points: list[models.PointStruct], field: str) -> models.Filter:
    """Admits each point only over a stored one with a lower `field`."""
    guards = [
        models.Filter(
            must=[
                models.HasIdCondition(has_id=[point.id]),
                models.FieldCondition(key=field, range=models.Range(lt=(point.payload or {})[field])),
            ]
        )
        for point in points
    ]
    return models.Filter(should=list(guards))


def connect(port: int) -> QdrantClient:
    return QdrantClient(url="http://127.0.0.1", grpc_port=port, prefer_grpc=True, check_compatibility=False)


@contextmanager
def served(data: Path) -> Iterator[QdrantClient]:
    """A client of a new engine on the folder."""
    with EngineProcess.start(data) as engine:
        client = connect(engine.port)
        yield client
        client.close()


@contextmanager
def refusal(code: str, *words: str) -> Iterator[None]:
    """The block ends in a gRPC error of that status whose text has all the words."""
    with pytest.raises(grpc.RpcError) as raised:
        yield
    assert raised.value.code().name == code, raised.value.details()
    for word in words:
        assert word in raised.value.details()
