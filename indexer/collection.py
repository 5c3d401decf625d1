"""Creates the collection of a vector space (vectors, payload indexes, alias) before the first point is written.

Each space has its own collection, `{name}--{space.id}`, so vectors of two spaces never mix. The alias `{name}` points
to the one that serves. A process that computes vectors names the collection of its own space, because the alias can
move to another space while a process with the old model still runs.
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
from indexer.qdrant.errors import InvalidRequest, translated_errors
from indexer.qdrant.filters import path_of


@dataclass(frozen=True, slots=True)
class CollectionPolicy:
    """The configuration of a new collection. None leaves a value to Qdrant. An existing collection is not changed.

    - `indexed`: the attributes that queries filter on, as keywords
    - `quantized`: keeps a scalar-quantized copy of each vector (8 bits a number) in memory, and searches it;
      GraphPolicy configures rescoring
    - `deleted_threshold`: the share of replaced points at which Qdrant rewrites a segment. Every upsert leaves one, and
      at Qdrant's default of 0.2 the steady changes of a shop cause constant rewriting
    - `optimization_threads`: one leaves the other cores to queries
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


# The quantile ignores the 1 % of outliers that would make the quantization steps coarser.
_INT8 = models.ScalarQuantization(
    scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, quantile=0.99, always_ram=True)
)


def collection_name(policy: CollectionPolicy, space: Space) -> str:
    """The collection of a space, to which a worker writes whatever the alias points to."""
    return f"{policy.name}--{space.id}"


async def ensure(client: AsyncQdrantClient, space: Space, policy: CollectionPolicy = CollectionPolicy()) -> str:
    """Create what is missing of the space's collection, its indexes and the alias. Returns the collection's name.

    Several processes may call it concurrently. Raises FatalError if the alias points to another space or the collection
    has other vectors, and Unavailable.
    """
    collection = await prepare(client, space, policy)
    await _claim(client, collection, policy.name)
    return collection


async def prepare(client: AsyncQdrantClient, space: Space, policy: CollectionPolicy = CollectionPolicy()) -> str:
    """As `ensure`, but does not touch the alias, so that the collection can be filled before it serves."""
    collection = collection_name(policy, space)
    try:
        await _prepare(client, collection, space, policy)
    except InvalidRequest as error:
        raise FatalError(f"Qdrant refuses the collection {collection!r}: {error}") from error
    return collection


async def serving(client: AsyncQdrantClient, name: str) -> str | None:
    """The collection that the alias points to, None if there is no such alias."""
    with translated_errors("read the aliases"):
        aliases = (await client.get_aliases()).aliases
    return next((a.collection_name for a in aliases if a.alias_name == name), None)


async def promote(client: AsyncQdrantClient, collection: str, name: str) -> None:
    """Point the alias to a collection, atomically: every query sees either the old collection or the new one."""
    operations: list[models.AliasOperations] = []
    if await serving(client, name) is not None:
        operations.append(models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=name)))
    create = models.CreateAlias(collection_name=collection, alias_name=name)
    operations.append(models.CreateAliasOperation(create_alias=create))
    with translated_errors("point the alias to the collection"):
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
    with translated_errors("list the collections"):
        names = [c.name for c in (await client.get_collections()).collections]
    found = sorted({n for n in names if n.startswith(f"{name}--")} | ({served} if served else set()))
    return [CollectionStatus(n, n.partition("--")[2], n == served, await _products(client, n)) for n in found]


async def _products(client: AsyncQdrantClient, collection: str) -> int:
    live = models.Filter(must=[models.FieldCondition(key="live", match=models.MatchValue(value=True))])
    with translated_errors("count the products"):
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
            f"the alias {name!r} serves {served!r}, but this model needs {collection!r}: run the model that made it, "
            f"or give another collection name (LIVESHELF_COLLECTION) and fill it by a back-fill"
        )


async def _prepare(client: AsyncQdrantClient, collection: str, space: Space, policy: CollectionPolicy) -> None:
    with translated_errors("look for the collection"):
        exists = await client.collection_exists(collection)
    if not exists:
        await _create(client, collection, space, policy)
    with translated_errors("read the collection"):
        info = await client.get_collection(collection)
    _check_vectors(collection, info, space)
    # Indexes are created before any data, so that the HNSW graph has links for them. If another worker has just
    # created the collection, this one adds the missing indexes before it writes.
    for field, schema in _indexes(policy).items():
        if field not in info.payload_schema:
            with translated_errors("create a payload index"):
                await client.create_payload_index(collection, field, field_schema=schema, wait=True)


async def _create(client: AsyncQdrantClient, collection: str, space: Space, policy: CollectionPolicy) -> None:
    try:
        with translated_errors("create the collection"):
            await client.create_collection(
                collection,
                vectors_config={
                    name: models.VectorParams(
                        size=dim, distance=models.Distance.COSINE, on_disk=policy.vectors_on_disk or None
                    )
                    for name, dim in space.vectors.items()
                },
                sparse_vectors_config={LEXICAL: LEXICAL_PARAMS},
                quantization_config=_INT8 if policy.quantized else None,
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
        # Another worker may have created it meanwhile; the caller checks its vectors.
        with translated_errors("look for the collection"):
            if not await client.collection_exists(collection):
                raise


def _check_vectors(collection: str, info: models.CollectionInfo, space: Space) -> None:
    vectors = info.config.params.vectors
    actual = {name: (v.size, v.distance) for name, v in vectors.items()} if isinstance(vectors, dict) else {}
    expected = {name: (dim, models.Distance.COSINE) for name, dim in space.vectors.items()}
    if actual != expected:
        raise FatalError(
            f"the collection {collection!r} has the vectors {_text(actual)}, but this model makes {_text(expected)}: "
            f"give another collection name, or delete that collection and fill it again"
        )
    # A server could add the vector, but existing points would lack it.
    sparse = (info.config.params.sparse_vectors or {}).get(LEXICAL)
    if sparse is None or sparse.modifier != LEXICAL_PARAMS.modifier:
        raise FatalError(
            f"the collection {collection!r} has no vector {LEXICAL!r} for the words of titles, so it was made by an "
            f"earlier version: give another collection name, or delete that collection and fill it again"
        )


def _text(vectors: Mapping[str, tuple[int, models.Distance]]) -> str:
    names = ", ".join(f"{name} ({dim}, {distance.value})" for name, (dim, distance) in sorted(vectors.items()))
    return names or "of another kind"


def _indexes(policy: CollectionPolicy) -> dict[str, models.PayloadSchemaType | models.KeywordIndexParams]:
    tenant = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)
    attributes = {path_of(ATTRIBUTE + name): models.PayloadSchemaType.KEYWORD for name in policy.indexed}
    return {"tenant": tenant, **OWN_INDEXES, **attributes}
