"""Which products wait for another try at their photo: the same of the fake, the engine and a server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from catalog.domain.change import VersionStamp
from catalog.domain.fingerprint import fingerprint
from catalog.domain.image_state import ImageState
from catalog.domain.index_query import IndexQuery
from catalog.domain.product import Content, ProductKey
from catalog.domain.space import FUSED, IMAGE
from catalog.domain.state import PendingImageRetry, ProductState, payload_of
from catalog.ingest.image_retry import ImageRetrier, ImageRetryPolicy
from catalog.ports import ImageRetryQueue, ProductWrite
from indexer import QdrantImageRetryQueue
from tests.fakes import SPACE, FakeEncoder, FakeIndex, unit
from tests.fixtures_engine import Subject, client_of, collection_at, server_url

NOW = 1_732_245_000_000
LIVE = ProductState(base=VersionStamp(7, 0, "x"), live=True, fields={"price": 2.5, "attributes.sizes": ("S", "M")})
DELETED = ProductState(base=VersionStamp(8, 1, ""))


@dataclass
class Grounds:
    there: Subject
    unhealed: ImageRetryQueue

    async def write(
        self, id: str, retry: PendingImageRetry | None, state: ProductState = LIVE, mark: str | None = "f"
    ) -> ProductWrite:
        said = payload_of(state, fingerprint=mark, event_time=5, retry=retry)
        said |= {"title": "mug", "images": ["http://x/1.jpg"], "image_state": "missing", "image_reason": "404"}
        vectors = {FUSED: unit(id, SPACE.vectors[FUSED])} if state.live else {}
        write = ProductWrite(ProductKey("shop", id), None, said, vectors)
        assert not (await self.there.index.write([write])).moved
        return write

    async def due(self, limit: int = 32) -> set[str]:
        return {payload["id"] for payload in await self.unhealed.due(NOW, limit=limit)}


@pytest.fixture(params=["fake", "engine", pytest.param("server", marks=pytest.mark.server)])
async def grounds(request: pytest.FixtureRequest) -> AsyncIterator[Grounds]:
    if request.param == "fake":
        fake = FakeIndex()
        yield Grounds(Subject(fake, fake, fake, looks=fake, facets=fake), fake)
        return
    url = request.getfixturevalue("engine").url if request.param == "engine" else server_url()
    async with collection_at(url, SPACE) as there, client_of(url) as client:
        yield Grounds(there, QdrantImageRetryQueue(client, collection=there.collection))


async def test_only_live_products_whose_time_has_come(grounds: Grounds) -> None:
    await grounds.write("past", PendingImageRetry(1, NOW - 1))
    await grounds.write("now", PendingImageRetry(3, NOW))
    await grounds.write("future", PendingImageRetry(1, NOW + 1))
    await grounds.write("given-up", PendingImageRetry(7, None))
    await grounds.write("healthy", None)
    await grounds.write("deleted", PendingImageRetry(1, NOW - 1), DELETED)
    assert await grounds.due() == {"past", "now"}


async def test_no_more_than_asked_for(grounds: Grounds) -> None:
    for n in range(5):
        await grounds.write(str(n), PendingImageRetry(1, NOW - n))
    assert len(await grounds.due(limit=3)) == 3
    assert await grounds.due(limit=5) == set("01234")


async def test_the_payload_comes_back_whole(grounds: Grounds) -> None:
    written = await grounds.write("a", PendingImageRetry(2, NOW))
    (payload,) = await grounds.unhealed.due(NOW, limit=2)
    assert payload == {"tenant": "shop", "id": "a", **written.payload}


async def test_a_photo_is_healed_in_place(grounds: Grounds) -> None:
    """Claim, failure, claim, success: the guards of the real index take what Repair makes of a payload."""
    encoder = FakeEncoder(away={"http://x/1.jpg": ImageState.UNAVAILABLE})
    mark = fingerprint(SPACE, Content("mug", ("http://x/1.jpg",)))
    await grounds.write("a", PendingImageRetry(1, NOW), mark=mark)
    now = NOW / 1000
    repair = ImageRetrier(
        index=grounds.there.index,
        unhealed=grounds.unhealed,
        encoder=encoder,
        policy=ImageRetryPolicy(delays_s=(10, 100), jitter=0),
        clock=lambda: now,
    )
    assert await repair.round() == 1
    (payload,) = await grounds.unhealed.due(NOW + 100_000, limit=2)
    assert (payload["image_tries"], payload["image_retry_at"]) == (2, NOW + 100_000)
    encoder.away.clear()
    now += 100
    assert await repair.round() == 1
    found = await grounds.there.shelf.get(ProductKey("shop", "a"))
    assert found is not None
    assert not {"image_tries", "image_retry_at"} & found.keys()
    assert (found["image_state"], found["price"], found["attributes"]) == ("ok", 2.5, {"sizes": ["S", "M"]})
    image = unit("http://x/1.jpg", SPACE.vectors[IMAGE])
    (hit,) = await grounds.there.shelf.search(IndexQuery(vector=image, using=IMAGE, limit=1))
    assert hit.score == pytest.approx(1.0)
    known = (await grounds.there.index.known([ProductKey("shop", "a")]))[ProductKey("shop", "a")]
    assert (known.fingerprint, known.retry) == (mark, None)
