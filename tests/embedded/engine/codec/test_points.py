"""Points through qdrant-client: written under a guard, read back, changed and deleted."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from tests.embedded.engine.shelves import newer, refusal, vector


def point(point_id: int | str, version: int, seed: int = 0, **payload: Any) -> models.PointStruct:
    return models.PointStruct(
        id=point_id, vector={"fused": vector(seed)}, payload={"version": version, "n": seed, **payload}
    )


def older(version: int) -> models.FieldCondition:
    return models.FieldCondition(key="version", range=models.Range(lt=version))


def payloads(client: QdrantClient, shelf: str, *ids: int | str) -> dict[Any, dict[str, Any]]:
    return {record.id: record.payload or {} for record in client.retrieve(shelf, ids)}


def versions(client: QdrantClient, shelf: str, *ids: int | str) -> dict[Any, int]:
    return {point_id: payload["version"] for point_id, payload in payloads(client, shelf, *ids).items()}


@pytest.mark.parametrize("indexed", [False, True])
def test_a_guarded_upsert_is_decided_point_by_point(client: QdrantClient, shelf: str, indexed: bool) -> None:
    if indexed:
        client.create_payload_index(shelf, "version", models.PayloadSchemaType.INTEGER)
    client.upsert(shelf, [point(1, 10), point(2, 10)])
    batch = [point(1, 11, seed=1), point(2, 9, seed=2), point(3, 1, seed=3)]
    for _ in range(2):
        client.upsert(shelf, batch, update_filter=newer(batch, "version"))
        assert versions(client, shelf, 1, 2, 3) == {1: 11, 2: 10, 3: 1}
    nearest = client.query_points(shelf, query=vector(1), using="fused", limit=1).points[0]
    assert nearest.id == 1
    assert nearest.score == pytest.approx(1)


def test_an_upsert_may_insert_only_or_update_only(client: QdrantClient, shelf: str) -> None:
    client.upsert(shelf, [point(1, 1)])
    both = [point(1, 2), point(2, 2)]
    client.upsert(shelf, both, update_mode=models.UpdateMode.INSERT_ONLY)
    assert versions(client, shelf, 1, 2) == {1: 1, 2: 2}
    both = [point(1, 3), point(3, 3)]
    client.upsert(shelf, both, update_mode=models.UpdateMode.UPDATE_ONLY)
    assert versions(client, shelf, 1, 2, 3) == {1: 3, 2: 2}
    both = [point(1, 4), point(2, 1), point(3, 4)]
    client.upsert(shelf, both, update_mode=models.UpdateMode.UPDATE_ONLY, update_filter=newer(both, "version"))
    assert versions(client, shelf, 1, 2, 3) == {1: 4, 2: 2}


def test_everything_json_has_comes_back_as_it_went(client: QdrantClient, shelf: str) -> None:
    key = str(uuid.uuid4())
    payload = {
        "text": "Ärmel 👕", "empty": "", "whole": -(2**63), "large": 2**63 - 1, "real": 1.5, "yes": True, "no": False,
        "nothing": None, "list": [1, "a", None, {"b": [2.5]}], "struct": {"deep": {"er": []}}, "none": {},
    }  # fmt: skip
    client.upsert(shelf, [models.PointStruct(id=key, vector={}, payload=payload)])
    (record,) = client.retrieve(shelf, [key], with_vectors=True)
    assert record.id == key
    assert record.payload == payload
    assert type(record.payload["yes"]) is bool
    assert record.vector == {}


def test_payload_and_vectors_are_returned_as_selected(client: QdrantClient, shelf: str) -> None:
    words = models.SparseVector(indices=[3, 70_000], values=[1.0, 2.0])
    client.upsert(
        shelf, [models.PointStruct(id=1, vector={"fused": vector(1), "words": words}, payload={"a": 1, "b": 2})]
    )

    def got(**selectors: Any) -> models.Record:
        return client.retrieve(shelf, [1, 2], **selectors)[0]

    assert got().payload == {"a": 1, "b": 2}
    assert got().vector is None
    assert not got(with_payload=False).payload
    assert got(with_payload=["a"]).payload == {"a": 1}
    assert got(with_payload=models.PayloadSelectorExclude(exclude=["a"])).payload == {"b": 2}
    assert got(with_vectors=["words"]).vector == {"words": words}
    everything = got(with_vectors=True).vector
    assert isinstance(everything, dict)
    assert set(everything) == {"fused", "words"}


def test_payload_is_changed_by_ids_and_by_filter(client: QdrantClient, shelf: str) -> None:
    client.upsert(shelf, [point(1, 10), point(2, 20), point(3, 30)])
    client.set_payload(shelf, {"price": 5}, points=[1, 2])
    client.set_payload(shelf, {"price": 6}, points=models.Filter(must=[models.HasIdCondition(has_id=[2]), older(15)]))
    client.set_payload(shelf, {"price": 7}, points=models.Filter(must=[models.HasIdCondition(has_id=[3]), older(31)]))
    prices = {key: payload.get("price") for key, payload in payloads(client, shelf, 1, 2, 3).items()}
    assert prices == {1: 5, 2: 5, 3: 7}
    client.delete_payload(shelf, ["price", "n"], points=[1])
    client.overwrite_payload(shelf, {"only": 1}, points=models.Filter(must=[models.HasIdCondition(has_id=[2])]))
    client.clear_payload(shelf, points_selector=models.PointIdsList(points=[3]))
    assert payloads(client, shelf, 1, 2, 3) == {1: {"version": 10}, 2: {"only": 1}, 3: {}}
    client.set_payload(shelf, {"x": 1}, key="deep", points=[3])
    assert payloads(client, shelf, 3) == {3: {"deep": {"x": 1}}}


def test_a_payload_for_a_missing_point_is_refused_and_changes_no_other(client: QdrantClient, shelf: str) -> None:
    client.upsert(shelf, [point(1, 10)])
    with refusal("NOT_FOUND", "No point with id 99"):
        client.set_payload(shelf, {"price": 5}, points=[1, 99])
    assert "price" not in payloads(client, shelf, 1)[1]


def test_points_are_deleted_by_ids_and_by_filter(client: QdrantClient, shelf: str) -> None:
    client.upsert(shelf, [point(1, 10), point(2, 20), point(3, 30)])
    client.delete(shelf, models.PointIdsList(points=[1, 99]))
    client.delete(shelf, models.FilterSelector(filter=models.Filter(must=[older(25)])))
    assert versions(client, shelf, 1, 2, 3) == {3: 30}


def test_vectors_are_changed_apart_from_the_payload(client: QdrantClient, shelf: str) -> None:
    client.upsert(shelf, [point(1, 10, seed=1), point(2, 20, seed=2)])
    moved = [models.PointVectors(id=key, vector={"fused": vector(7)}) for key in (1, 2)]
    client.update_vectors(shelf, moved, update_filter=models.Filter(must=[older(15)]))
    found = client.query_points(shelf, query=vector(7), using="fused", limit=2).points
    assert found[0].id == 1
    assert found[0].score == pytest.approx(1)
    assert found[1].score < 0.99
    client.delete_vectors(shelf, ["fused"], points=[1])
    assert [hit.id for hit in client.query_points(shelf, query=vector(7), using="fused").points] == [2]
    assert versions(client, shelf, 1) == {1: 10}


def test_a_batch_of_updates_is_applied_in_order(client: QdrantClient, shelf: str) -> None:
    results = client.batch_update_points(
        shelf,
        [
            models.UpsertOperation(upsert=models.PointsList(points=[point(1, 1), point(2, 1), point(3, 1)])),
            models.SetPayloadOperation(set_payload=models.SetPayload(payload={"n": 5}, points=[1, 2])),
            models.SetPayloadOperation(
                set_payload=models.SetPayload(payload={"n": 6}, filter=models.Filter(must=[older(1)]))
            ),
            models.OverwritePayloadOperation(overwrite_payload=models.SetPayload(payload={"version": 9}, points=[2])),
            models.DeletePayloadOperation(delete_payload=models.DeletePayload(keys=["n"], points=[3])),
            models.UpdateVectorsOperation(
                update_vectors=models.UpdateVectors(points=[models.PointVectors(id=1, vector={"fused": vector(4)})])
            ),
            models.DeleteOperation(delete=models.PointIdsList(points=[2])),
            models.ClearPayloadOperation(clear_payload=models.PointIdsList(points=[3])),
        ],
    )
    assert [result.status for result in results] == [models.UpdateStatus.COMPLETED] * 8
    assert payloads(client, shelf, 1, 2, 3) == {1: {"version": 1, "n": 5}, 3: {}}


def test_what_is_not_waited_for_is_applied_all_the_same(client: QdrantClient, shelf: str) -> None:
    assert client.upsert(shelf, [point(1, 1)], wait=False).status == models.UpdateStatus.ACKNOWLEDGED
    assert versions(client, shelf, 1) == {1: 1}
