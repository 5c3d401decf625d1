"""How soon the index answers, and how much of what an exact search finds its ordinary search finds too.

python -m benchmarks.index_reads CATALOGUE --vectors FILE.npz     the embedded engine, in a folder that is thrown away
  ... --url http://127.0.0.1:6334                                 a Qdrant server's gRPC address
  ... --quantized                                                 with vectors kept in 8 bits as well

FILE keeps the products' vectors: it is made by the default model if it is not there, which takes minutes. Queries are
some words of titles, drawn at random.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from qdrant_client import AsyncQdrantClient, models

from benchmarks.index_writes import address
from catalog.domain.change import Put
from catalog.domain.filters import AnyOf, Condition, Range
from catalog.domain.index_query import IndexQuery, WeightedFusion
from catalog.domain.product import ProductKey
from catalog.domain.record import Record
from catalog.domain.space import FUSED, IMAGE, Space
from catalog.domain.state import ProductState, apply, payload_of
from catalog.events.parser import ParsedEvent, ParserConfig, parse
from catalog.ports import ProductWrite
from encoders import load
from encoders.offline import query_vectors
from evaluation.index_recall import exact_recall
from indexer import CollectionPolicy, GraphPolicy, QdrantFacetReader, QdrantReader, QdrantWriter, connect, ensure
from liveshelf.bench.harness.catalogue import products
from liveshelf.settings import Settings
from liveshelf.wiring.encoder import encoder_of

BATCH = 256
BRAND = "attributes.brand"
EFS = (None, 32, 64, 128, 256, 512)
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class IndexedShop:
    """Products in the order of the rows of the two arrays (products, dim), and queries with theirs."""

    puts: list[Put]
    fused: Vectors
    image: Vectors
    words: list[str]
    queries: Vectors


def puts_of(catalogue: Path) -> Iterator[Put]:
    for event in products(catalogue):
        parsed = parse(Record(None, json.dumps(event).encode(), "", 0, 0, 0), ParserConfig())
        if isinstance(parsed, ParsedEvent) and isinstance(parsed.change, Put):
            yield parsed.change


async def encoded(catalogue: Path, file: Path) -> None:
    fused, image = [], []
    async with encoder_of(Settings()) as encoder:
        puts = puts_of(catalogue)
        while some := list(islice(puts, BATCH)):
            for one in await encoder.encode(await encoder.prepare([put.product.content for put in some])):
                if one is None:
                    raise SystemExit("a product has no finite vector")
                fused.append(one.vectors[FUSED])
                image.append(one.vectors.get(IMAGE, one.vectors[FUSED]))
    np.savez(file, fused=np.stack(fused), image=np.stack(image))


def shop_of(catalogue: Path, file: Path, queries: int) -> IndexedShop:
    if not file.exists():
        asyncio.run(encoded(catalogue, file))
    kept = np.load(file)
    puts = list(puts_of(catalogue))
    rng = random.Random(0)
    titles = [put.product.content.title.split() for put in rng.sample(puts, queries)]
    words = [" ".join(rng.sample(title, min(len(title), rng.randint(1, 3)))) for title in titles]
    return IndexedShop(puts, kept["fused"], kept["image"], words, query_vectors(load("builtin:small"), words))


def write_of(put: Put, vectors: dict[str, Vectors]) -> ProductWrite:
    said = payload_of(apply(ProductState(), put), fingerprint="0" * 32, event_time=1_700_000_000_000)
    key = ProductKey(put.product.key.tenant, put.product.key.id)
    return ProductWrite(key, None, {**said, "title": put.product.content.title, "images": []}, vectors)


async def filled(client: AsyncQdrantClient, collection: str, space: Space, shop: IndexedShop) -> None:
    index = QdrantWriter(client, collection=collection, space=space)
    for start in range(0, len(shop.puts), BATCH):
        rows = range(start, min(start + BATCH, len(shop.puts)))
        await index.write([write_of(shop.puts[n], {FUSED: shop.fused[n], IMAGE: shop.image[n]}) for n in rows])
    info = await client.get_collection(collection)
    while info.status != models.CollectionStatus.GREEN:
        await asyncio.sleep(1)
        info = await client.get_collection(collection)
    print(f"{info.points_count:,} points, {info.indexed_vectors_count or 0:,} vectors in graphs")


async def timed(name: str, calls: Sequence[Callable[[], Awaitable[object]]]) -> None:
    took = []
    for call in calls:
        start = time.perf_counter()
        await call()
        took.append((time.perf_counter() - start) * 1000)
    p99 = sorted(took)[int(len(took) * 0.99)]
    print(f"{name:<44} {statistics.median(took):>7.1f} / {p99:.1f} ms")


async def latencies(shelf: QdrantReader, facets: QdrantFacetReader, shop: IndexedShop, times: int) -> None:
    print(f"{'':<44} p50 / p99 of {times}")
    brands: list[Condition] = [AnyOf(BRAND, (str(put.product.attributes.get("brand", "")),)) for put in shop.puts[:9]]
    dense = [IndexQuery(vector=vector, limit=10) for vector in shop.queries[:times]]
    words = [replace(ask, words=text) for ask, text in zip(dense, shop.words, strict=False)]
    kinds = {
        "vector, 10 hits": dense,
        "vector, 10 hits, exact": [replace(ask, exact=True) for ask in dense],
        "vector, 10 hits of a brand": [replace(a, conditions=(brands[n % 9],)) for n, a in enumerate(dense)],
        "vector, 1,000 hits": [replace(ask, limit=1000) for ask in dense[: times // 4]],
        "words, 10 hits": [replace(ask, vector=None) for ask in words],
        "vector and words by ranks, 10 hits": words,
        "vector and words by scores, 10 hits": [replace(ask, fusion=WeightedFusion()) for ask in words],
    }
    for name, asks in kinds.items():
        await timed(name, [lambda ask=ask: shelf.search(ask) for ask in asks])  # type: ignore[misc]
    keys = [put.product.key for put in shop.puts[:times]]
    await timed("a product", [lambda key=key: shelf.get(key) for key in keys])  # type: ignore[misc]
    await timed("what it looks like", [lambda key=key: shelf.vectors(key) for key in keys])  # type: ignore[misc]
    few: dict[str, list[Condition]] = {"all": [], "a price": [Range("price", gte=1)], "a brand": brands[:1]}
    for said, where in few.items():
        count = [lambda where=where: shelf.count(where)] * 30  # type: ignore[misc]
        await timed(f"how many, of {said}", count)
        colors = [lambda where=where: facets.facet("attributes.color", where, limit=20)] * 30  # type: ignore[misc]
        await timed(f"facet of colours, of {said}", colors)


async def recalls(
    client: AsyncQdrantClient, collection: str, space: Space, shop: IndexedShop, policy: GraphPolicy
) -> None:
    print(f"{'ef':<12} {'recall@10':>10} {'recall@1000':>12}  mean of {len(shop.queries)} and {len(shop.queries) // 4}")
    for ef in EFS:
        shelf = QdrantReader(client, collection=collection, space=space, policy=replace(policy, ef=ef))
        ten = await exact_recall(shelf, shop.queries, using=FUSED, k=10)
        thousand = await exact_recall(shelf, shop.queries[::4], using=FUSED, k=1000)
        print(f"{ef or 'the default':<12} {ten.mean():>10.4f} {thousand.mean():>12.4f}")


async def measure(url: str, shop: IndexedShop, chosen: argparse.Namespace) -> None:
    client = connect(url, api_key=None, timeout_s=120)
    dim = shop.fused.shape[1]
    space = Space(model="benchmark", revision="1", preprocessing="none", vectors={FUSED: dim, IMAGE: dim})
    made = CollectionPolicy(name=f"benchmark-{uuid4().hex[:8]}", quantized=chosen.quantized)
    policy = GraphPolicy()
    collection = await ensure(client, space, made)
    try:
        await filled(client, collection, space, shop)
        shelf = QdrantReader(client, collection=collection, space=space, policy=policy)
        await latencies(shelf, QdrantFacetReader(client, collection=collection), shop, chosen.times)
        await recalls(client, collection, space, shop, policy)
    finally:
        await client.delete_collection(collection)
        await client.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalogue", type=Path)
    parser.add_argument("--vectors", type=Path, required=True, help="where the products' vectors are kept")
    parser.add_argument("--url", help="gRPC address of a Qdrant server (default: an embedded engine)")
    parser.add_argument("--times", type=int, default=200, help="queries")
    parser.add_argument("--quantized", action="store_true", help="keep vectors in 8 bits as well")
    chosen = parser.parse_args()
    shop = shop_of(chosen.catalogue, chosen.vectors, chosen.times)
    with address(chosen.url, None) as (url, _):
        asyncio.run(measure(url, shop, chosen))


if __name__ == "__main__":
    main()
