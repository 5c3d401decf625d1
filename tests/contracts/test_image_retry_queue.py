"""The contract of ImageRetryQueue, for the fake, the engine and a server."""

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
class Setup:
    subject: Subject
    queue: ImageRetryQueue

    async def write(
        self,
        id: str,
        retry: PendingImageRetry | None,
        state: ProductState = LIVE,
        content_fingerprint: str | None = "f",
    ) -> ProductWrite:
        payload = payload_of(state, fingerprint=content_fingerprint, event_time=5, image_retry=retry)
        payload |= {"title": "mug", "images": ["http://x/1.jpg"], "image_state": "missing", "image_reason": "404"}
        vectors = {FUSED: unit(id, SPACE.vectors[FUSED])} if state.live else {}
        write = ProductWrite(ProductKey("shop", id), None, payload, vectors)
        assert not (await self.subject.index.write([write])).conflicts
        return write

    async def due(self, limit: int = 32) -> set[str]:
        return {payload["id"] for payload in await self.queue.due(NOW, limit=limit)}


@pytest.fixture(params=["fake", "engine", pytest.param("server", marks=pytest.mark.server)])
async def setup(request: pytest.FixtureRequest) -> AsyncIterator[Setup]:
    if request.param == "fake":
        fake = FakeIndex()
        yield Setup(Subject(fake, fake, fake, looks=fake, facets=fake), fake)
        return
    url = request.getfixturevalue("engine").url if request.param == "engine" else server_url()
    async with collection_at(url, SPACE) as subject, client_of(url) as client:
        yield Setup(subject, QdrantImageRetryQueue(client, collection=subject.collection))


async def test_only_live_products_whose_time_has_come(setup: Setup) -> None:
    await setup.write("past", PendingImageRetry(1, NOW - 1))
    await setup.write("now", PendingImageRetry(3, NOW))
    await setup.write("future", PendingImageRetry(1, NOW + 1))
    await setup.write("given-up", PendingImageRetry(7, None))
    await setup.write("healthy", None)
    await setup.write("deleted", PendingImageRetry(1, NOW - 1), DELETED)
    assert await setup.due() == {"past", "now"}


async def test_the_limit_is_kept(setup: Setup) -> None:
    for n in range(5):
        await setup.write(str(n), PendingImageRetry(1, NOW - n))
    assert len(await setup.due(limit=3)) == 3
    assert await setup.due(limit=5) == set("01234")


async def test_the_payload_comes_back_whole(setup: Setup) -> None:
    written = await setup.write("a", PendingImageRetry(2, NOW))
    (payload,) = await setup.queue.due(NOW, limit=2)
    assert payload == {"tenant": "shop", "id": "a", **written.payload}


async def test_a_photo_is_healed_in_place(setup: Setup) -> None:
    """Claim, failure, claim, success: the guards of the real index accept the writes of ImageRetrier."""
    encoder = FakeEncoder(away={"http://x/1.jpg": ImageState.UNAVAILABLE})
    content_fingerprint = fingerprint(SPACE, Content("mug", ("http://x/1.jpg",)))
    await setup.write("a", PendingImageRetry(1, NOW), content_fingerprint=content_fingerprint)
    now = NOW / 1000
    retrier = ImageRetrier(
        index=setup.subject.index,
        retry_queue=setup.queue,
        encoder=encoder,
        policy=ImageRetryPolicy(delays_s=(10, 100), jitter=0),
        clock=lambda: now,
    )
    assert await retrier.round() == 1
    (payload,) = await setup.queue.due(NOW + 100_000, limit=2)
    assert (payload["image_tries"], payload["image_retry_at"]) == (2, NOW + 100_000)
    encoder.away.clear()
    now += 100
    assert await retrier.round() == 1
    product = await setup.subject.shelf.get(ProductKey("shop", "a"))
    assert product is not None
    assert not {"image_tries", "image_retry_at"} & product.keys()
    assert (product["image_state"], product["price"], product["attributes"]) == ("ok", 2.5, {"sizes": ["S", "M"]})
    image = unit("http://x/1.jpg", SPACE.vectors[IMAGE])
    (hit,) = await setup.subject.shelf.search(IndexQuery(vector=image, using=IMAGE, limit=1))
    assert hit.score == pytest.approx(1.0)
    state = (await setup.subject.index.read_states([ProductKey("shop", "a")]))[ProductKey("shop", "a")]
    assert (state.fingerprint, state.image_retry) == (content_fingerprint, None)
