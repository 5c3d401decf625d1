"""The collection of a space, made ready before the first point: vectors, payload indexes, alias.

A space has a collection of its own, `{name}--{space.id}`, so vectors of two spaces can never meet in one. The alias
`{name}` says which of them serves. Who makes vectors, of products or of queries, names the collection of its own space:
an alias can be moved to another space while a process with the old model still runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qdrant_client import AsyncQdrantClient, models

from catalog.domain.space import Space
from catalog.domain.state import ATTRIBUTE
from catalog.errors import FatalError, LiveshelfError
from indexer.qdrant.bm25 import LEXICAL
from indexer.qdrant.bm25 import PARAMS as LEXICAL_PARAMS
from indexer.qdrant.errors import InvalidRequest, calls
from indexer.qdrant.filters import path_of


@dataclass(frozen=True, slots=True)
class CollectionPolicy:
    """How the collection of a space is made. None leaves a number to Qdrant; what exists already is not changed.

    `indexed` are the attributes that queries filter on, as keywords. `deleted_threshold` is the share of replaced
    points at which a segment is rewritten: every upsert leaves one behind, and at Qdrant's own 0.2 a shop's steady
    changes keep the rewriting busy. One optimization thread leaves the other cores to queries. With
    `quantized` each vector is kept in 8 bits a number as well, in memory, and searched by those; GraphPolicy says how
    the best are compared again.
    """

    name: str = "products"
    indexed: tuple[str, ...] = ("brand", "category", "color")
    vectors_on_disk: bool = False
    quantized: bool = False
    hnsw_m: int | None = None
    hnsw_ef_construct: int | None = None
    indexing_threshold_kb: int | None = None
    deleted_threshold: float | None = 0.5
    optimization_threads: int | None = 1
    shards: int | None = None
    replicas: int | None = None
    write_consistency: int | None = None


OWN_INDEXES: Mapping[str, models.PayloadSchemaType] = {
    "live": models.PayloadSchemaType.BOOL,
    "available": models.PayloadSchemaType.BOOL,
    "price": models.PayloadSchemaType.FLOAT,
    "currency": models.PayloadSchemaType.KEYWORD,
    "image_state": models.PayloadSchemaType.KEYWORD,
    "image_retry_at": models.PayloadSchemaType.INTEGER,
    "content_version": models.PayloadSchemaType.INTEGER,
    "offer_version": models.PayloadSchemaType.INTEGER,
    "event_time": models.PayloadSchemaType.INTEGER,
}


# The quantile leaves out the one in a hundred numbers that would make the steps of all others coarser.
_EIGHT_BITS = models.ScalarQuantization(
    scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, quantile=0.99, always_ram=True)
)


def collection_name(policy: CollectionPolicy, space: Space) -> str:
    """The collection of a space: what a worker writes to, whatever the alias says."""
    return f"{policy.name}--{space.id}"


async def ensure(client: AsyncQdrantClient, space: Space, policy: CollectionPolicy = CollectionPolicy()) -> str:
    """The name of the space's collection, which exists, is indexed, and is what the alias points at.

    Does nothing where all is as it should be, and may run in several processes at once. Raises FatalError where the
    alias serves another space or the collection holds other vectors, and Unavailable.
    """
    collection = await prepare(client, space, policy)
    await _claim(client, collection, policy.name)
    return collection


async def prepare(client: AsyncQdrantClient, space: Space, policy: CollectionPolicy = CollectionPolicy()) -> str:
    """As `ensure`, but leaves the alias alone: a collection to be filled before it serves."""
    collection = collection_name(policy, space)
    try:
        await _prepare(client, collection, space, policy)
    except InvalidRequest as error:
        raise FatalError(f"Qdrant refuses the collection {collection!r}: {error}") from error
    return collection


async def serving(client: AsyncQdrantClient, name: str) -> str | None:
    """The collection that the alias points at, None if there is no such alias."""
    with calls("read the aliases"):
        aliases = (await client.get_aliases()).aliases
    return next((a.collection_name for a in aliases if a.alias_name == name), None)


async def promote(client: AsyncQdrantClient, collection: str, name: str) -> None:
    """Point the alias at a collection, in one step: queries before it see the old one, queries after it the new."""
    operations: list[models.AliasOperations] = []
    if await serving(client, name) is not None:
        operations.append(models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=name)))
    create = models.CreateAlias(collection_name=collection, alias_name=name)
    operations.append(models.CreateAliasOperation(create_alias=create))
    with calls("point the alias at the collection"):
        await client.update_collection_aliases(operations)


@dataclass(frozen=True, slots=True)
class CollectionStatus:
    """A collection of one alias: its space, whether the alias serves it, and how many live products it holds."""

    collection: str
    space: str
    served: bool
    products: int


async def status(client: AsyncQdrantClient, name: str) -> list[CollectionStatus]:
    """The collections of all spaces that the alias `name` may serve, by name. Raises Unavailable."""
    served = await serving(client, name)
    with calls("list the collections"):
        names = [c.name for c in (await client.get_collections()).collections]
    found = sorted({n for n in names if n.startswith(f"{name}--")} | ({served} if served else set()))
    return [CollectionStatus(n, n.partition("--")[2], n == served, await _products(client, n)) for n in found]


async def _products(client: AsyncQdrantClient, collection: str) -> int:
    live = models.Filter(must=[models.FieldCondition(key="live", match=models.MatchValue(value=True))])
    with calls("count the products"):
        return (await client.count(collection, count_filter=live, exact=True)).count


async def _claim(client: AsyncQdrantClient, collection: str, name: str) -> None:
    if await serving(client, name) is None:
        try:
            await promote(client, collection, name)
        except InvalidRequest as error:
            raise FatalError(
                f"{name!r} cannot be the alias of {collection!r} ({error}): give another collection name"
            ) from error
    served = await serving(client, name)
    if served != collection:
        raise FatalError(
            f"the alias {name!r} serves {served!r}, and this model makes {collection!r}: run the model that made it, "
            f"or give another collection name (LIVESHELF_COLLECTION), which a back-fill then fills"
        )


async def _prepare(client: AsyncQdrantClient, collection: str, space: Space, policy: CollectionPolicy) -> None:
    with calls("look for the collection"):
        exists = await client.collection_exists(collection)
    if not exists:
        await _create(client, collection, space, policy)
    with calls("read the collection"):
        info = await client.get_collection(collection)
    _check_vectors(collection, info, space)
    # Indexes come before any data, so that the graph is built with links for them; a worker that finds a collection
    # another has only just made adds what is still missing, before it writes.
    for field, schema in _indexes(policy).items():
        if field not in info.payload_schema:
            with calls("make a payload index"):
                await client.create_payload_index(collection, field, field_schema=schema, wait=True)


async def _create(client: AsyncQdrantClient, collection: str, space: Space, policy: CollectionPolicy) -> None:
    try:
        with calls("create the collection"):
            await client.create_collection(
                collection,
                vectors_config={
                    name: models.VectorParams(
                        size=dim, distance=models.Distance.COSINE, on_disk=policy.vectors_on_disk or None
                    )
                    for name, dim in space.vectors.items()
                },
                sparse_vectors_config={LEXICAL: LEXICAL_PARAMS},
                quantization_config=_EIGHT_BITS if policy.quantized else None,
                hnsw_config=models.HnswConfigDiff(m=policy.hnsw_m, ef_construct=policy.hnsw_ef_construct),
                optimizers_config=models.OptimizersConfigDiff(
                    indexing_threshold=policy.indexing_threshold_kb,
                    deleted_threshold=policy.deleted_threshold,
                    max_optimization_threads=policy.optimization_threads,
                ),
                shard_number=policy.shards,
                replication_factor=policy.replicas,
                write_consistency_factor=policy.write_consistency,
            )
    except LiveshelfError:
        # Another worker may have made it in between; whether it is the right one is checked next.
        with calls("look for the collection"):
            if not await client.collection_exists(collection):
                raise


def _check_vectors(collection: str, info: models.CollectionInfo, space: Space) -> None:
    vectors = info.config.params.vectors
    there = {name: (v.size, v.distance) for name, v in vectors.items()} if isinstance(vectors, dict) else {}
    wanted = {name: (dim, models.Distance.COSINE) for name, dim in space.vectors.items()}
    if there != wanted:
        raise FatalError(
            f"the collection {collection!r} holds the vectors {_say(there)}, and this model makes {_say(wanted)}: "
            f"give another collection name, or delete that collection and fill it again"
        )
    # A server could add the vector, but not to the points that are there, and those are not written again.
    sparse = (info.config.params.sparse_vectors or {}).get(LEXICAL)
    if sparse is None or sparse.modifier != LEXICAL_PARAMS.modifier:
        raise FatalError(
            f"the collection {collection!r} has no vector {LEXICAL!r} for the words of titles, so it was made by an "
            f"earlier version: give another collection name, or delete that collection and fill it again"
        )


def _say(vectors: Mapping[str, tuple[int, models.Distance]]) -> str:
    named = ", ".join(f"{name} ({dim}, {distance.value})" for name, (dim, distance) in sorted(vectors.items()))
    return named or "of another kind"


def _indexes(policy: CollectionPolicy) -> dict[str, models.PayloadSchemaType | models.KeywordIndexParams]:
    tenant = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)
    attributes = {path_of(ATTRIBUTE + name): models.PayloadSchemaType.KEYWORD for name in policy.indexed}
    return {"tenant": tenant, **OWN_INDEXES, **attributes}
