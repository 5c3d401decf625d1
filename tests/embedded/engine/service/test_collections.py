"""Collections, payload indexes and aliases through qdrant-client."""

from __future__ import annotations

import pytest
from qdrant_client import QdrantClient, models

from tests.embedded.engine.shelves import DIM, make_collection, refusal, vector


def alias(collection: str, name: str) -> models.CreateAliasOperation:
    return models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name=collection, alias_name=name))


def unalias(name: str) -> models.DeleteAliasOperation:
    return models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=name))


def test_a_collection_is_made_shown_and_dropped(client: QdrantClient) -> None:
    name = "café № 1"
    assert not client.collection_exists(name)
    make_collection(client, name)
    assert client.collection_exists(name)
    assert name in [collection.name for collection in client.get_collections().collections]
    info = client.get_collection(name)
    assert info.status == models.CollectionStatus.GREEN
    assert info.points_count == 0
    vectors = info.config.params.vectors
    assert isinstance(vectors, dict)
    assert vectors["fused"].size == DIM
    assert vectors["fused"].distance == models.Distance.COSINE
    assert vectors["fused"].on_disk is True
    assert info.config.params.sparse_vectors == {"words": models.SparseVectorParams(modifier=models.Modifier.IDF)}
    with refusal("ALREADY_EXISTS", name):
        make_collection(client, name)
    assert client.delete_collection(name)
    assert not client.delete_collection(name)
    with refusal("NOT_FOUND", name):
        client.get_collection(name)
    with refusal("NOT_FOUND", name):
        client.retrieve(name, [1])


def test_the_settings_a_cluster_gets_are_kept_and_shown(client: QdrantClient) -> None:
    client.create_collection(
        "tuned",
        vectors_config=models.VectorParams(
            size=4,
            distance=models.Distance.DOT,
            datatype=models.Datatype.FLOAT16,
            hnsw_config=models.HnswConfigDiff(m=8),
        ),
        shard_number=2,
        replication_factor=3,
        write_consistency_factor=2,
        on_disk_payload=False,
        hnsw_config=models.HnswConfigDiff(m=0, payload_m=16),
        optimizers_config=models.OptimizersConfigDiff(indexing_threshold=5000, max_optimization_threads=1),
        wal_config=models.WalConfigDiff(wal_capacity_mb=16),
        quantization_config=models.ScalarQuantization(
            scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, quantile=0.99, always_ram=True)
        ),
        metadata={"space": "a", "dim": 4},
    )
    config = client.get_collection("tuned").config
    assert config.params.shard_number == 2
    assert config.params.replication_factor == 3
    assert (config.hnsw_config.m, config.hnsw_config.payload_m, config.hnsw_config.ef_construct) == (0, 16, 100)
    assert config.optimizer_config.indexing_threshold == 5000
    assert config.metadata == {"space": "a", "dim": 4}
    client.upsert("tuned", [models.PointStruct(id=1, vector=[1, 2, 3, 4])])
    assert client.query_points("tuned", query=[1, 0, 0, 0]).points[0].score == pytest.approx(1)
    assert client.retrieve("tuned", [1], with_vectors=True)[0].vector == [1, 2, 3, 4]
    client.delete_collection("tuned")


def test_payload_indexes_are_made_shown_and_dropped(client: QdrantClient, shelf: str) -> None:
    requests = {
        "tenant": models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True, on_disk=True),
        "version": models.IntegerIndexParams(type=models.IntegerIndexType.INTEGER, lookup=False, range=True),
        "price": models.PayloadSchemaType.FLOAT,
        "live": models.PayloadSchemaType.BOOL,
        "seen": models.DatetimeIndexParams(type=models.DatetimeIndexType.DATETIME, is_principal=True),
        "uid": models.PayloadSchemaType.UUID,
    }
    for field, schema in requests.items():
        client.create_payload_index(shelf, field, schema)
    client.upsert(shelf, [models.PointStruct(id=1, vector={}, payload={"price": 1.5})])
    shown = client.get_collection(shelf).payload_schema
    assert {field: info.data_type.value for field, info in shown.items()} == {
        "tenant": "keyword", "version": "integer", "price": "float", "live": "bool", "seen": "datetime", "uid": "uuid",
    }  # fmt: skip
    assert shown["price"].points == 1
    tenant, version, seen = shown["tenant"].params, shown["version"].params, shown["seen"].params
    assert isinstance(tenant, models.KeywordIndexParams)
    assert (tenant.is_tenant, tenant.on_disk) == (True, True)
    assert isinstance(version, models.IntegerIndexParams)
    assert (version.lookup, version.range) == (False, True)
    assert isinstance(seen, models.DatetimeIndexParams)
    assert seen.is_principal is True
    client.delete_payload_index(shelf, "price")
    assert "price" not in client.get_collection(shelf).payload_schema


def test_an_alias_stands_for_its_collection_everywhere(client: QdrantClient, shelf: str) -> None:
    client.update_collection_aliases([alias(shelf, "live")])
    client.upsert("live", [models.PointStruct(id=1, vector={"fused": vector(1)}, payload={"a": 1})])
    assert client.collection_exists("live")
    assert client.get_collection("live").points_count == 1
    assert client.query_points("live", query=vector(1), using="fused").points[0].id == 1
    assert client.retrieve("live", [1])[0].payload == {"a": 1}
    assert client.scroll("live")[0][0].id == 1
    client.set_payload("live", {"a": 2}, points=[1])
    client.delete("live", models.PointIdsList(points=[1]))
    assert client.count(shelf).count == 0
    assert "live" not in [collection.name for collection in client.get_collections().collections]
    with refusal("INVALID_ARGUMENT", "live", "Alias with the same name"):
        make_collection(client, "live")
    with refusal("ALREADY_EXISTS", shelf):
        client.update_collection_aliases([alias(shelf, shelf)])


@pytest.mark.parametrize("name", ["a/b", "a?", "x" * 256])
def test_a_name_that_a_server_refuses_is_refused(client: QdrantClient, shelf: str, name: str) -> None:
    with refusal("INVALID_ARGUMENT", "name"):
        make_collection(client, name)
    with refusal("INVALID_ARGUMENT", "name"):
        client.update_collection_aliases([alias(shelf, name)])
    vectors = {name: models.VectorParams(size=4, distance=models.Distance.DOT)}
    with refusal("INVALID_ARGUMENT", "name"):
        client.create_collection("unmade", vectors_config=vectors)


def test_a_name_is_free_again_once_its_collection_is_dropped(client: QdrantClient) -> None:
    for _ in range(3):
        make_collection(client, "again")
        client.upsert("again", [models.PointStruct(id=1, vector={"fused": vector(1)})])
        assert client.count("again").count == 1
        client.delete_collection("again")


def test_aliases_change_all_at_once_or_not_at_all(client: QdrantClient, shelf: str) -> None:
    other = make_collection(client)

    def shown() -> dict[str, str]:
        aliases = client.get_aliases().aliases
        return {a.alias_name: a.collection_name for a in aliases if a.collection_name in (shelf, other)}

    client.update_collection_aliases([alias(shelf, "now"), alias(shelf, "old")])
    client.update_collection_aliases(
        [
            unalias("now"),
            alias(other, "now"),
            models.RenameAliasOperation(rename_alias=models.RenameAlias(old_alias_name="old", new_alias_name="older")),
        ]
    )
    assert shown() == {"now": other, "older": shelf}
    assert [alias.alias_name for alias in client.get_collection_aliases(shelf).aliases] == ["older"]
    with refusal("NOT_FOUND", "nowhere"):
        client.update_collection_aliases([unalias("now"), alias("nowhere", "older")])
    with refusal("NOT_FOUND", "gone"):
        client.update_collection_aliases(
            [models.RenameAliasOperation(rename_alias=models.RenameAlias(old_alias_name="gone", new_alias_name="x"))]
        )
    assert shown() == {"now": other, "older": shelf}
    client.delete_collection(other)
    assert shown() == {"older": shelf}
