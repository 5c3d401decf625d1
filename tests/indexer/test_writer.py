"""Tests of the Qdrant writer that its contract (tests/contracts) does not cover."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from catalog.domain.index_query import IndexQuery
from catalog.domain.product import ProductKey
from catalog.domain.space import FUSED, IMAGE
from catalog.errors import FatalError, InvalidInput, Unavailable
from catalog.ports import ProductWrite
from embedded.engine.process import EngineProcess
from indexer import CollectionPolicy, QdrantReader, QdrantWriter, RequestPolicy, ensure
from tests.fakes import SPACE, unit
from tests.fixtures_engine import client_of, collection_at


def put(n: int, revision: str = "r1", expect: str | None = None, title: str = "t") -> ProductWrite:
    payload = {"live": True, "clock": {"base": None, "patched": {}}, "revision": revision, "title": title}
    return ProductWrite(ProductKey("shop", str(n)), expect, payload, {FUSED: unit(str(n), SPACE.vectors[FUSED])})


@pytest.mark.parametrize("culprits", [[3], [0, 9], list(range(10))])
async def test_what_qdrant_calls_invalid_is_found_by_halving(qdrant_url: str, culprits: list[int]) -> None:
    # A space with a longer image vector than the collection: our check passes, Qdrant refuses.
    wrong_space = replace(SPACE, vectors={**SPACE.vectors, IMAGE: 5})
    writes = [put(n) for n in range(10)]
    for n in culprits:
        writes[n] = replace(writes[n], vectors={IMAGE: unit("x", 5)})
    async with collection_at(qdrant_url, SPACE) as subject, client_of(qdrant_url) as client:
        collection = subject.collection
        result = await QdrantWriter(client, collection=collection, space=wrong_space).write(writes)
        assert set(result.invalid) == {writes[n].key for n in culprits}
        assert all("dim" in reason for reason in result.invalid.values())
        assert not result.conflicts
        assert await subject.shelf.count() == 10 - len(culprits)


async def test_a_point_beyond_the_limit_is_invalid_and_others_go_out_in_parts(qdrant_url: str) -> None:
    async with collection_at(qdrant_url, SPACE) as subject, client_of(qdrant_url) as client:
        policy = RequestPolicy(max_points=7, max_bytes=3000)
        index = QdrantWriter(client, collection=subject.collection, space=SPACE, policy=policy)
        writes = [put(n, title="t" * 1000) for n in range(20)] + [put(20, title="t" * 3000)]
        result = await index.write(writes)
        assert set(result.invalid) == {writes[20].key}
        assert "bytes" in result.invalid[writes[20].key]
        assert await subject.shelf.count() == 20


async def test_a_payload_only_write_sends_the_vectors_back_as_they_were(qdrant_url: str) -> None:
    async with collection_at(qdrant_url, SPACE) as subject, client_of(qdrant_url) as client:

        async def stored() -> np.ndarray[tuple[int], np.dtype[np.float32]]:
            (point,) = await client.retrieve(subject.collection, ids, with_vectors=True)
            assert isinstance(point.vector, dict)
            return np.array(point.vector[FUSED], dtype=np.float32)

        await subject.index.write([put(1, "r0")])
        ids = [point.id for point in (await client.scroll(subject.collection))[0]]
        first = await stored()
        for n in range(20):
            patch = replace(put(1, f"r{n + 1}", expect=f"r{n}"), vectors=None)
            assert not (await subject.index.write([patch])).conflicts
        np.testing.assert_array_equal(await stored(), first)


async def test_a_missing_collection_is_fatal(qdrant_url: str) -> None:
    async with client_of(qdrant_url) as client:
        index = QdrantWriter(client, collection=f"test-{uuid4().hex}", space=SPACE)
        with pytest.raises(FatalError):
            await index.read_states([ProductKey("a", "1")])
        with pytest.raises(FatalError):
            await index.write([put(1)])


async def test_a_query_of_another_space_is_invalid_input(qdrant_url: str) -> None:
    async with client_of(qdrant_url) as client:
        reader = QdrantReader(client, collection="any", space=SPACE)
        for vector, using in [(unit("q", 9), FUSED), (unit("q", 8), "smell"), (np.full(8, np.nan, np.float32), FUSED)]:
            with pytest.raises(InvalidInput):
                await reader.search(IndexQuery(vector=vector, using=using, limit=1))


async def test_a_point_removed_before_its_write_is_not_created_again(qdrant_url: str) -> None:
    async with collection_at(qdrant_url, SPACE) as subject, client_of(qdrant_url) as client:
        await subject.index.write([put(1)])
        (point,) = (await client.scroll(subject.collection))[0]
        await client.delete(subject.collection, [point.id])
        update = put(1, "r2", expect="r1")
        assert (await subject.index.write([update])).conflicts == {update.key}
        assert await subject.shelf.count() == 0


async def test_an_engine_that_is_down_is_not_called_until_it_is_back(tmp_path: Path) -> None:
    engine = EngineProcess.start(tmp_path)
    try:
        async with client_of(engine.url) as client:
            index = QdrantWriter(client, collection=await ensure(client, SPACE, CollectionPolicy()), space=SPACE)
            await index.write([put(1)])
            engine.kill()
            not_sent = 0
            sent = 0

            async def hammer() -> None:
                nonlocal not_sent, sent
                for n in range(50):
                    call = index.write([put(2)]) if n % 2 else index.read_states([ProductKey("shop", "1")])
                    with pytest.raises(Unavailable) as raised:
                        await call
                    # Only a call that was sent has a gRPC error as its cause.
                    sent += raised.value.__cause__ is not None
                    not_sent += raised.value.__cause__ is None
                    await asyncio.sleep(0.01)

            await asyncio.gather(*(hammer() for _ in range(4)))
            assert not_sent + sent == 200
            # All four callers may be in flight when the circuit opens; it is probed at most every half second.
            assert 5 <= sent <= 20
            engine = EngineProcess.start(tmp_path, port=engine.port)
            async with asyncio.timeout(20):
                while True:
                    try:
                        states = await index.read_states([ProductKey("shop", "1")])
                        break
                    except Unavailable:
                        await asyncio.sleep(0.05)
            assert states[ProductKey("shop", "1")].revision == "r1"
            assert not (await index.write([put(2)])).conflicts
    finally:
        engine.kill()
