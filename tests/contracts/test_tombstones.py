"""TombstoneStore removes old hidden points, on the engine and on a server."""

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
class Setup:
    """A collection, its TombstoneStore, and a client of its Qdrant."""

    subject: Subject
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
        result = await self.subject.index.write(writes)
        assert not result.conflicts
        return writes

    async def existing(self, *ids: str) -> set[str]:
        return {key.id for key in await self.subject.index.read_states([ProductKey("shop", id) for id in ids])}


@pytest.fixture
async def setup(qdrant_url: str) -> AsyncIterator[Setup]:
    async with collection_at(qdrant_url, SPACE) as subject, client_of(qdrant_url) as client:
        yield Setup(subject, TombstoneStore(client, collection=subject.collection), client)


async def test_only_old_points_of_deleted_products_go(setup: Setup) -> None:
    await setup.write(DELETED, {"old": 999, "young": 1000})
    await setup.write(WAITING, {"waits": 5})
    await setup.write(LIVE, {"live": 5})
    assert await setup.tombstones.count(1000) == 1
    assert await setup.tombstones.remove(1000) == 1
    assert await setup.existing("old", "young", "waits", "live") == {"young", "waits", "live"}
    assert await setup.tombstones.remove(1000) == 0


async def test_waiting_patches_are_listed_and_go_when_asked(setup: Setup) -> None:
    await setup.write(WAITING, {"waits": 5, "waits-too": 2000})
    await setup.write(DELETED, {"old": 5})
    assert [patch async for patch in setup.tombstones.waiting(1000)] == [WaitingPatch(ProductKey("shop", "waits"), 5)]
    assert await setup.tombstones.count(1000, waiting=True) == 1
    assert await setup.tombstones.remove(1000, waiting=True) == 1
    assert await setup.existing("old", "waits", "waits-too") == {"old", "waits-too"}


async def test_many_pages_go(setup: Setup) -> None:
    count = 2 * indexer.tombstones.PAGE_SIZE + 3
    await setup.write(DELETED, {str(n): n for n in range(count)})
    assert await setup.tombstones.remove(count - 1) == count - 1
    assert await setup.existing(*map(str, range(count))) == {str(count - 1)}


async def test_a_product_that_comes_back_meanwhile_is_never_lost(setup: Setup) -> None:
    """Deleted products are put again while the purge runs: each exists afterwards, created again or never removed."""
    ids = [str(n) for n in range(300)]
    (first, *_) = await setup.write(DELETED, dict.fromkeys(ids, 5))
    revision = first.payload["revision"]
    assert isinstance(revision, str)

    async def put_again(id: str) -> None:
        payload = payload_of(LIVE, fingerprint=None, event_time=2000)
        vectors = {name: unit("x", dim) for name, dim in SPACE.vectors.items()}
        for expect in (revision, None):
            result = await setup.subject.rival.write([ProductWrite(ProductKey("shop", id), expect, payload, vectors)])
            if not result.conflicts:
                return
        raise AssertionError(f"{id} was neither as it was deleted nor gone")

    async def come_back() -> None:
        for id in ids[::-1]:
            await put_again(id)

    removed, _ = await asyncio.gather(setup.tombstones.remove(1000), come_back())
    assert removed <= len(ids)
    assert await setup.subject.shelf.count() == len(ids)


async def test_a_purge_of_the_alias_reaches_its_collection(setup: Setup) -> None:
    await setup.write(DELETED, {"old": 5})
    alias = setup.subject.collection.partition("--")[0]
    assert await TombstoneStore(setup.client, collection=alias).remove(1000) == 1
    assert await setup.existing("old") == set()
