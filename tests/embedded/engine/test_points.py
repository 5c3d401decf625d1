"""Points through qdrant-client: written under a guard, read back, changed and deleted."""

from __future__ import annotations

from typing import Any

from qdrant_client import QdrantClient, models

from tests.embedded.engine.shelves import vector


def point(point_id: int | str, version: int, seed: int = 0, **payload: Any) -> models.PointStruct:
    return models.PointStruct(
        id=point_id, vector={"fused": vector(seed)}, payload={"version": version, "n": seed, **payload}
    )


def newer(points: list[models.PointStruct]) -> models.Filter:
    """Each point only over one of a lower version."""
    guards = [
        models.Filter(
            must=[
                models.HasIdCondition(has_id=[point.id]),
                models.FieldCondition(key="version", range=models.Range(lt=(point.payload or {})["version"])),
            ]
        )
        for point in points
    ]
    return models.Filter(should=list(guards))


def versions(client: QdrantClient, shelf: str, *ids: int) -> dict[Any, int]:
    return {record.id: (record.payload or {})["version"] for record in client.retrieve(shelf, ids)}


def test_a_guarded_upsert_is_decided_point_by_point(client: QdrantClient, shelf: str) -> None:
    client.upsert(shelf, [point(1, 10), point(2, 10)])
    batch = [point(1, 11, seed=1), point(2, 9, seed=2), point(3, 1, seed=3)]
    client.upsert(shelf, batch, update_filter=newer(batch))
    assert versions(client, shelf, 1, 2, 3) == {1: 11, 2: 10, 3: 1}
    client.upsert(shelf, batch, update_filter=newer(batch))
    assert versions(client, shelf, 1, 2, 3) == {1: 11, 2: 10, 3: 1}
