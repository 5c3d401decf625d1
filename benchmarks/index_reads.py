"""Latency of the index, and recall of its approximate search against an exact search.

python -m benchmarks.index_reads CATALOGUE --vectors FILE.npz     the embedded engine, in a temporary folder
  ... --url http://127.0.0.1:6334                                 gRPC address of a Qdrant server
  ... --quantized                                                 with int8 quantization of the vectors

FILE stores the products' vectors. If it does not exist, the default model makes it, which takes minutes. Queries are
random words of titles.
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
    """Products in the row order of `fused` and `image` (products, dim); texts in the row order of `queries`."""

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


async def encode_catalogue(catalogue: Path, file: Path) -> None:
    fused, image = [], []
    async with encoder_of(Settings()) as encoder:
        puts = puts_of(catalogue)
        while batch := list(islice(puts, BATCH)):
            for item in await encoder.encode(await encoder.prepare([put.product.content for put in batch])):
                if item is None:
                    raise SystemExit("a product has no finite vector")
                fused.append(item.vectors[FUSED])
                image.append(item.vectors.get(IMAGE, item.vectors[FUSED]))
    np.savez(file, fused=np.stack(fused), image=np.stack(image))


def shop_of(catalogue: Path, file: Path, queries: int) -> IndexedShop:
    if not file.exists():
        asyncio.run(encode_catalogue(catalogue, file))
    arrays = np.load(file)
    puts = list(puts_of(catalogue))
    rng = random.Random(0)
    titles = [put.product.content.title.split() for put in rng.sample(puts, queries)]
    words = [" ".join(rng.sample(title, min(len(title), rng.randint(1, 3)))) for title in titles]
    return IndexedShop(puts, arrays["fused"], arrays["image"], words, query_vectors(load("builtin:small"), words))


def write_of(put: Put, vectors: dict[str, Vectors]) -> ProductWrite:
    payload = payload_of(apply(ProductState(), put), fingerprint="0" * 32, event_time=1_700_000_000_000)
    key = ProductKey(put.product.key.tenant, put.product.key.id)
    return ProductWrite(key, None, {**payload, "title": put.product.content.title, "images": []}, vectors)


async def fill(client: AsyncQdrantClient, collection: str, space: Space, shop: IndexedShop) -> None:
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


async def print_latencies(shelf: QdrantReader, facets: QdrantFacetReader, shop: IndexedShop, times: int) -> None:
    print(f"{'':<44} p50 / p99 of {times}")
    brands: list[Condition] = [AnyOf(BRAND, (str(put.product.attributes.get("brand", "")),)) for put in shop.puts[:9]]
    dense = [IndexQuery(vector=vector, limit=10) for vector in shop.queries[:times]]
    words = [replace(query, words=text) for query, text in zip(dense, shop.words, strict=False)]
    kinds = {
        "vector, 10 hits": dense,
        "vector, 10 hits, exact": [replace(query, exact=True) for query in dense],
        "vector, 10 hits of a brand": [replace(query, conditions=(brands[n % 9],)) for n, query in enumerate(dense)],
        "vector, 1,000 hits": [replace(query, limit=1000) for query in dense[: times // 4]],
        "words, 10 hits": [replace(query, vector=None) for query in words],
        "vector and words by ranks, 10 hits": words,
        "vector and words by scores, 10 hits": [replace(query, fusion=WeightedFusion()) for query in words],
    }
    for name, queries in kinds.items():
        await timed(name, [lambda query=query: shelf.search(query) for query in queries])  # type: ignore[misc]
    keys = [put.product.key for put in shop.puts[:times]]
    await timed("a product", [lambda key=key: shelf.get(key) for key in keys])  # type: ignore[misc]
    await timed("what it looks like", [lambda key=key: shelf.vectors(key) for key in keys])  # type: ignore[misc]
    filters: dict[str, list[Condition]] = {"all": [], "a price": [Range("price", gte=1)], "a brand": brands[:1]}
    for name, conditions in filters.items():
        count = [lambda conditions=conditions: shelf.count(conditions)] * 30  # type: ignore[misc]
        await timed(f"how many, of {name}", count)
        colors = [lambda conditions=conditions: facets.facet("attributes.color", conditions, limit=20)] * 30  # type: ignore[misc]
        await timed(f"facet of colours, of {name}", colors)


async def print_recalls(
    client: AsyncQdrantClient, collection: str, space: Space, shop: IndexedShop, policy: GraphPolicy
) -> None:
    print(f"{'ef':<12} {'recall@10':>10} {'recall@1000':>12}  mean of {len(shop.queries)} and {len(shop.queries) // 4}")
    for ef in EFS:
        shelf = QdrantReader(client, collection=collection, space=space, policy=replace(policy, ef=ef))
        ten = await exact_recall(shelf, shop.queries, using=FUSED, k=10)
        thousand = await exact_recall(shelf, shop.queries[::4], using=FUSED, k=1000)
        print(f"{ef or 'the default':<12} {ten.mean():>10.4f} {thousand.mean():>12.4f}")


async def measure(url: str, shop: IndexedShop, options: argparse.Namespace) -> None:
    client = connect(url, api_key=None, timeout_s=120)
    dim = shop.fused.shape[1]
    space = Space(model="benchmark", revision="1", preprocessing="none", vectors={FUSED: dim, IMAGE: dim})
    collection_policy = CollectionPolicy(name=f"benchmark-{uuid4().hex[:8]}", quantized=options.quantized)
    graph_policy = GraphPolicy()
    collection = await ensure(client, space, collection_policy)
    try:
        await fill(client, collection, space, shop)
        shelf = QdrantReader(client, collection=collection, space=space, policy=graph_policy)
        await print_latencies(shelf, QdrantFacetReader(client, collection=collection), shop, options.times)
        await print_recalls(client, collection, space, shop, graph_policy)
    finally:
        await client.delete_collection(collection)
        await client.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalogue", type=Path)
    parser.add_argument("--vectors", type=Path, required=True, help="file of the products' vectors")
    parser.add_argument("--url", help="gRPC address of a Qdrant server (default: an embedded engine)")
    parser.add_argument("--times", type=int, default=200, help="queries")
    parser.add_argument("--quantized", action="store_true", help="quantize vectors to int8")
    options = parser.parse_args()
    shop = shop_of(options.catalogue, options.vectors, options.times)
    with address(options.url, None) as (url, _):
        asyncio.run(measure(url, shop, options))


if __name__ == "__main__":
    main()
