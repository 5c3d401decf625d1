"""What becomes of hidden points when they are old, on the engine and on a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from qdrant_client import AsyncQdrantClient

import indexer.tombstones
from catalog.domain.change import VersionStamp
from catalog.domain.product import ProductKey
from catalog.domain.state import ProductState, payload_of
from catalog.ports import ProductWrite
from indexer import TombstoneStore, WaitingPatch
from tests.fakes import SPACE, unit
from tests.fixtures_engine import Subject, client_of, collection_at

DELETED = ProductState(base=VersionStamp(0, 1, ""), patched={"price": VersionStamp(9, 0, "aa")}, fields={"price": 2.0})
WAITING = ProductState(patched={"price": VersionStamp(5, 0, "aa")}, fields={"price": 4.0})
LIVE = ProductState(base=VersionStamp(7, 0, "x"), live=True)


@dataclass
class Grounds:
    """A collection, what looks after its hidden points, and a client of the Qdrant they are in."""

    there: Subject
    tombstones: TombstoneStore
    client: AsyncQdrantClient

    async def write(
        self, state: ProductState, times: dict[str, int], *, expect: str | None = None
    ) -> list[ProductWrite]:
        vectors = {name: unit("x", dim) for name, dim in SPACE.vectors.items()} if state.live else {}
        writes = [
            ProductWrite(ProductKey("shop", id), expect, payload_of(state, fingerprint=None, event_time=at), vectors)
            for id, at in times.items()
        ]
        outcome = await self.there.index.write(writes)
        assert not outcome.moved
        return writes

    async def known(self, *ids: str) -> set[str]:
        return {key.id for key in await self.there.index.known([ProductKey("shop", id) for id in ids])}


@pytest.fixture
async def grounds(qdrant_url: str) -> AsyncIterator[Grounds]:
    async with collection_at(qdrant_url, SPACE) as there, client_of(qdrant_url) as client:
        yield Grounds(there, TombstoneStore(client, collection=there.collection), client)


async def test_only_old_points_of_deleted_products_go(grounds: Grounds) -> None:
    await grounds.write(DELETED, {"old": 999, "young": 1000})
    await grounds.write(WAITING, {"waits": 5})
    await grounds.write(LIVE, {"live": 5})
    assert await grounds.tombstones.count(1000) == 1
    assert await grounds.tombstones.remove(1000) == 1
    assert await grounds.known("old", "young", "waits", "live") == {"young", "waits", "live"}
    assert await grounds.tombstones.remove(1000) == 0


async def test_waiting_patches_are_listed_and_go_when_asked(grounds: Grounds) -> None:
    await grounds.write(WAITING, {"waits": 5, "waits-too": 2000})
    await grounds.write(DELETED, {"old": 5})
    assert [one async for one in grounds.tombstones.waiting(1000)] == [WaitingPatch(ProductKey("shop", "waits"), 5)]
    assert await grounds.tombstones.count(1000, waiting=True) == 1
    assert await grounds.tombstones.remove(1000, waiting=True) == 1
    assert await grounds.known("old", "waits", "waits-too") == {"old", "waits-too"}


async def test_many_pages_go(grounds: Grounds) -> None:
    count = 2 * indexer.tombstones.PAGE + 3
    await grounds.write(DELETED, {str(n): n for n in range(count)})
    assert await grounds.tombstones.remove(count - 1) == count - 1
    assert await grounds.known(*map(str, range(count))) == {str(count - 1)}


async def test_a_product_that_comes_back_meanwhile_is_never_lost(grounds: Grounds) -> None:
    """Deleted products are put again while the purge runs: each is there afterwards, made anew or left alone."""
    ids = [str(n) for n in range(300)]
    (first, *_) = await grounds.write(DELETED, dict.fromkeys(ids, 5))
    revision = first.payload["revision"]
    assert isinstance(revision, str)

    async def put_again(id: str) -> None:
        payload = payload_of(LIVE, fingerprint=None, event_time=2000)
        vectors = {name: unit("x", dim) for name, dim in SPACE.vectors.items()}
        for expect in (revision, None):
            outcome = await grounds.there.rival.write([ProductWrite(ProductKey("shop", id), expect, payload, vectors)])
            if not outcome.moved:
                return
        raise AssertionError(f"{id} was neither as it was deleted nor gone")

    async def come_back() -> None:
        for id in ids[::-1]:
            await put_again(id)

    removed, _ = await asyncio.gather(grounds.tombstones.remove(1000), come_back())
    assert removed <= len(ids)
    assert await grounds.there.shelf.count() == len(ids)


async def test_a_purge_of_the_alias_reaches_its_collection(grounds: Grounds) -> None:
    await grounds.write(DELETED, {"old": 5})
    alias = grounds.there.collection.partition("--")[0]
    assert await TombstoneStore(grounds.client, collection=alias).remove(1000) == 1
    assert await grounds.known("old") == set()
