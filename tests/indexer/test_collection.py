from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import uuid4

import pytest
from qdrant_client import AsyncQdrantClient, models

from catalog.domain.product import ProductKey
from catalog.errors import FatalError
from catalog.ports import ProductWrite
from indexer import (
    CollectionPolicy,
    QdrantReader,
    QdrantWriter,
    collection_name,
    ensure,
    prepare,
    promote,
    serving,
)
from tests.fakes import SPACE
from tests.fixtures_engine import client_of

OTHER = replace(SPACE, revision="2")


@pytest.fixture
async def client(qdrant_url: str) -> AsyncIterator[AsyncQdrantClient]:
    async with client_of(qdrant_url) as connected:
        yield connected


@pytest.fixture
async def policy(client: AsyncQdrantClient) -> AsyncIterator[CollectionPolicy]:
    """A policy with a unique name. Its collections are deleted afterwards."""
    unique = CollectionPolicy(name=f"test-{uuid4().hex}", indexed=("brand", "screen size"))
    try:
        yield unique
    finally:
        for collection in (await client.get_collections()).collections:
            if collection.name.startswith(unique.name):
                await client.delete_collection(collection.name)


async def test_a_collection_is_ready_before_its_first_point(
    client: AsyncQdrantClient, policy: CollectionPolicy
) -> None:
    name = await ensure(client, SPACE, policy)
    assert name == f"{policy.name}--{SPACE.id}" == collection_name(policy, SPACE)
    assert await serving(client, policy.name) == name
    info = await client.get_collection(name)
    vectors = info.config.params.vectors
    assert isinstance(vectors, dict)
    assert {n: (v.size, v.distance) for n, v in vectors.items()} == {
        n: (dim, models.Distance.COSINE) for n, dim in SPACE.vectors.items()
    }
    sparse = info.config.params.sparse_vectors
    assert sparse is not None
    assert {n: v.modifier for n, v in sparse.items()} == {"lexical": models.Modifier.IDF}
    kinds = {field: index.data_type.value for field, index in info.payload_schema.items()}
    assert kinds == {
        "tenant": "keyword",
        "live": "bool",
        "available": "bool",
        "price": "float",
        "currency": "keyword",
        "image_state": "keyword",
        "image_retry_at": "integer",
        "content_version": "integer",
        "offer_version": "integer",
        "event_time": "integer",
        "attributes.brand": "keyword",
        'attributes."screen size"': "keyword",
    }
    tenant = info.payload_schema["tenant"].params
    assert isinstance(tenant, models.KeywordIndexParams)
    assert tenant.is_tenant


async def test_to_ensure_again_changes_nothing(client: AsyncQdrantClient, policy: CollectionPolicy) -> None:
    name = await ensure(client, SPACE, policy)
    key = ProductKey("shop", "1")
    write = ProductWrite(key, None, {"live": True, "clock": {"base": None, "patched": {}}, "revision": "r"}, {})
    await QdrantWriter(client, collection=name, space=SPACE).write([write])
    assert await ensure(client, SPACE, policy) == name
    assert await QdrantReader(client, collection=policy.name, space=SPACE).count() == 1


async def test_workers_may_start_at_once(qdrant_url: str, policy: CollectionPolicy) -> None:
    async def worker() -> str:
        async with client_of(qdrant_url) as own:
            return await ensure(own, SPACE, policy)

    assert set(await asyncio.gather(*(worker() for _ in range(4)))) == {collection_name(policy, SPACE)}


async def test_an_index_that_is_missing_is_made(client: AsyncQdrantClient, policy: CollectionPolicy) -> None:
    await ensure(client, SPACE, replace(policy, indexed=()))
    name = await ensure(client, SPACE, policy)
    assert "attributes.brand" in (await client.get_collection(name)).payload_schema


async def test_an_alias_of_another_space_is_left_alone(client: AsyncQdrantClient, policy: CollectionPolicy) -> None:
    first = await ensure(client, SPACE, policy)
    with pytest.raises(FatalError, match="run the model that made it, or give another collection name"):
        await ensure(client, OTHER, policy)
    assert await serving(client, policy.name) == first


async def test_a_collection_of_other_vectors_is_not_written_to(
    client: AsyncQdrantClient, policy: CollectionPolicy
) -> None:
    vectors = {"fused": models.VectorParams(size=9, distance=models.Distance.COSINE)}
    await client.create_collection(collection_name(policy, SPACE), vectors_config=vectors)
    with pytest.raises(FatalError, match=r"fused \(9, Cosine\)"):
        await ensure(client, SPACE, policy)


@pytest.mark.parametrize("sparse", [None, {"lexical": models.SparseVectorParams()}])
async def test_a_collection_without_the_words_of_titles_is_not_written_to(
    client: AsyncQdrantClient, policy: CollectionPolicy, sparse: dict[str, models.SparseVectorParams] | None
) -> None:
    vectors = {name: models.VectorParams(size=n, distance=models.Distance.COSINE) for name, n in SPACE.vectors.items()}
    name = collection_name(policy, SPACE)
    await client.create_collection(name, vectors_config=vectors, sparse_vectors_config=sparse)
    with pytest.raises(FatalError, match="give another collection name, or delete that collection and fill it again"):
        await ensure(client, SPACE, policy)


async def test_a_collection_of_the_aliass_name_is_in_the_way(
    client: AsyncQdrantClient, policy: CollectionPolicy
) -> None:
    vectors = {"fused": models.VectorParams(size=9, distance=models.Distance.COSINE)}
    await client.create_collection(policy.name, vectors_config=vectors)
    with pytest.raises(FatalError, match="give another collection name"):
        await ensure(client, SPACE, policy)


async def test_a_new_space_is_filled_while_the_old_one_serves(
    client: AsyncQdrantClient, policy: CollectionPolicy
) -> None:
    old = await ensure(client, SPACE, policy)
    new = await prepare(client, OTHER, policy)
    assert await serving(client, policy.name) == old
    await promote(client, new, policy.name)
    assert await serving(client, policy.name) == new
    assert await ensure(client, OTHER, policy) == new


async def test_the_settings_reach_the_collection(client: AsyncQdrantClient, policy: CollectionPolicy) -> None:
    tuned = replace(policy, hnsw_m=24, hnsw_ef_construct=77, indexing_threshold_kb=5000, vectors_on_disk=True)
    config = (await client.get_collection(await ensure(client, SPACE, tuned))).config
    assert (config.hnsw_config.m, config.hnsw_config.ef_construct) == (24, 77)
    assert config.optimizer_config.indexing_threshold == 5000
    vectors = config.params.vectors
    assert isinstance(vectors, dict)
    assert all(v.on_disk for v in vectors.values())


async def test_a_name_that_qdrant_refuses_is_fatal(client: AsyncQdrantClient) -> None:
    with pytest.raises(FatalError, match="refuses the collection"):
        await ensure(client, SPACE, CollectionPolicy(name="a/b"))
