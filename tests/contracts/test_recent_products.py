"""The contract of RecentProducts, for the fake, the engine and a server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from catalog.domain.change import VersionStamp
from catalog.domain.filters import AnyOf
from catalog.domain.product import ProductKey
from catalog.domain.space import FUSED
from catalog.domain.state import ProductState, payload_of
from catalog.ports import ProductWrite, RecentProducts
from indexer import QdrantRecentProducts
from tests.fakes import SPACE, FakeIndex, unit
from tests.fixtures_engine import Subject, client_of, collection_at, server_url

LIVE = ProductState(base=VersionStamp(7, 0, "x"), live=True, fields={"price": 2.5})
DELETED = ProductState(base=VersionStamp(8, 1, ""))


@dataclass
class Setup:
    subject: Subject
    recent: RecentProducts

    async def write(self, id: str, at: int, *, tenant: str = "shop", state: ProductState = LIVE) -> None:
        payload = payload_of(state, fingerprint="f", event_time=at) | {
            "title": "mug",
            "images": [],
            "image_state": "none",
        }
        vectors = {FUSED: unit(id, SPACE.vectors[FUSED])} if state.live else {}
        assert not (
            await self.subject.index.write([ProductWrite(ProductKey(tenant, id), None, payload, vectors)])
        ).conflicts

    async def ids(self, *conditions: AnyOf, limit: int = 10) -> list[str]:
        return [key.id for key, _ in await self.recent.newest(conditions, limit=limit)]


@pytest.fixture(params=["fake", "engine", pytest.param("server", marks=pytest.mark.server)])
async def setup(request: pytest.FixtureRequest) -> AsyncIterator[Setup]:
    if request.param == "fake":
        fake = FakeIndex()
        yield Setup(Subject(fake, fake, fake, looks=fake, facets=fake), fake)
        return
    url = request.getfixturevalue("engine").url if request.param == "engine" else server_url()
    async with collection_at(url, SPACE) as subject, client_of(url) as client:
        yield Setup(subject, QdrantRecentProducts(client, collection=subject.collection))


async def test_the_latest_come_first_and_no_more_than_asked_for(setup: Setup) -> None:
    for id, at in (("b", 1_795_440_933_084), ("c", 1_795_440_933_085), ("a", 5)):
        await setup.write(id, at)
    assert await setup.ids() == ["c", "b", "a"]
    assert await setup.ids(limit=2) == ["c", "b"]


async def test_only_live_products_that_satisfy_the_conditions(setup: Setup) -> None:
    await setup.write("mine", 1)
    await setup.write("theirs", 2, tenant="other")
    await setup.write("deleted", 3, state=DELETED)
    assert await setup.ids() == ["theirs", "mine"]
    assert await setup.ids(AnyOf("tenant", ("shop",))) == ["mine"]


async def test_the_payload_is_what_a_hit_has(setup: Setup) -> None:
    await setup.write("a", 9)
    [(key, payload)] = await setup.recent.newest(limit=1)
    assert key == ProductKey("shop", "a")
    assert (payload["title"], payload["price"], payload["event_time"]) == ("mug", 2.5, 9)
    assert not {"clock", "revision", "fingerprint", "guard"} & set(payload)
