"""The catalogue's two encoder ports, over a model with readable vectors."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Mapping, Sequence

import numpy as np
import pytest
import torch
from PIL.Image import Image

from catalog.domain.image_state import ImageState
from catalog.domain.product import Content
from catalog.domain.space import FUSED, IMAGE, Space
from catalog.errors import FatalError, ImageProblem, InvalidInput
from catalog.ports import ItemEncoder, PreparedItem, QueryEncoder
from encoders import EncodePolicy, EncoderService, Priority
from encoders.model import Inputs, Rows
from encoders.towers.preprocessing import square
from tests.encoders.conftest import Photos, picture, png


class Colours:
    """A photo becomes its mean colour, a text the number of its letters; the text "poison" becomes NaN."""

    space = Space("colours", "1", "rgb-8", {FUSED: 4, IMAGE: 4})
    runs = "torch"
    photo_side = 8

    def prepare(self, text: str, photo: Image | None) -> Inputs:
        return Inputs((len(text), int(text == "poison")), None if photo is None else square(photo, 8))

    def forward_items(self, batch: Sequence[Inputs]) -> Mapping[str, Rows]:
        image = np.zeros((len(batch), 4), np.float32)
        text = np.array([[0.0, 0.0, 0.0, inputs.tokens[0]] for inputs in batch], np.float32)
        for i, inputs in enumerate(batch):
            if inputs.pixels is not None:
                image[i, :3] = inputs.pixels.astype(np.float32).mean((0, 1))
            if inputs.tokens[1]:
                text[i] = float("nan")
        return {FUSED: image + text, IMAGE: image}

    def forward_queries(self, batch: Sequence[Inputs]) -> Rows:
        return self.forward_items(batch)[FUSED]


RED, BLUE = png(picture("red")), png(picture("blue"))
HEALS = ImageProblem(ImageState.UNAVAILABLE, "the host did not answer")


@pytest.fixture
def photos() -> Photos:
    return Photos({"red": RED, "blue": BLUE, "broken": b"no image", "down": HEALS})


@pytest.fixture
async def service(photos: Photos) -> AsyncIterator[EncoderService]:
    async with EncoderService(Colours(), photos, EncodePolicy(batch=4)) as started:
        yield started


async def test_it_is_both_ports(service: EncoderService) -> None:
    items: ItemEncoder = service
    queries: QueryEncoder = service
    assert items.space == queries.space == Colours.space


async def test_items_come_out_in_order_with_unit_vectors_by_name(service: EncoderService) -> None:
    contents = [Content("a" * (i + 1), ("red",) if i % 2 else ()) for i in range(11)]
    results = await service.encode(await service.prepare(contents))
    assert [result.image_state for result in results if result] == [
        ImageState.OK if i % 2 else ImageState.NONE for i in range(11)
    ]
    for i, result in enumerate(results):
        assert result is not None
        assert set(result.vectors) == ({FUSED, IMAGE} if i % 2 else {FUSED})
        for vector in result.vectors.values():
            assert vector.dtype == np.float32
            assert vector.shape == (4,)
            assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)
    assert (service.forwards, service.encoded) == (4, 11), "two with photos and two without"
    assert service.forward_seconds > 0


async def test_no_items_are_no_forward(service: EncoderService) -> None:
    assert list(await service.encode(await service.prepare([]))) == []
    assert service.forwards == 0


async def test_what_is_not_finite_is_none_and_its_neighbours_are_unharmed(service: EncoderService) -> None:
    clean = await service.encode(await service.prepare([Content("one", ("red",)), Content("two", ("blue",))]))
    dirty = await service.encode(
        await service.prepare([Content("one", ("red",)), Content("poison", ("red",)), Content("two", ("blue",))])
    )
    assert dirty[1] is None
    for before, after in ((clean[0], dirty[0]), (clean[1], dirty[2])):
        assert before is not None
        assert after is not None
        np.testing.assert_array_equal(before.vectors[FUSED], after.vectors[FUSED])
    assert service.encoded == 4


@pytest.mark.parametrize(
    ("images", "state"),
    [
        ((), ImageState.NONE),
        (("gone",), ImageState.MISSING),
        (("broken",), ImageState.BROKEN),
        (("down",), ImageState.UNAVAILABLE),
        (("gone", "red"), ImageState.OK),
        (("gone", "down", "broken"), ImageState.UNAVAILABLE),
        (("broken", "gone"), ImageState.MISSING),
        (("gone", "broken"), ImageState.MISSING),
        (("broken", "broken"), ImageState.BROKEN),
    ],
)
async def test_an_image_that_cannot_be_had_is_a_state(
    service: EncoderService, images: tuple[str, ...], state: ImageState
) -> None:
    (prepared,) = await service.prepare([Content("mug", images)])
    (encoded,) = await service.encode([prepared])
    assert prepared.image_state is state
    assert bool(prepared.image_reason) == (state not in (ImageState.OK, ImageState.NONE))
    assert encoded is not None
    assert (encoded.image_state, encoded.image_reason) == (state, prepared.image_reason)
    assert (IMAGE in encoded.vectors) == (state is ImageState.OK)


async def test_only_the_first_image_that_can_be_had_is_fetched(service: EncoderService, photos: Photos) -> None:
    await service.prepare([Content("mug", ("gone", "red", "blue"))])
    assert photos.fetched == ["gone", "red"]


async def test_no_more_photos_are_fetched_at_once_than_agreed() -> None:
    now = highest = 0

    class Slow:
        async def fetch(self, url: str) -> bytes:
            nonlocal now, highest
            now += 1
            highest = max(highest, now)
            await asyncio.sleep(0.01)
            now -= 1
            return RED

    async with EncoderService(Colours(), Slow(), EncodePolicy(fetches=3)) as service:
        await service.prepare([Content("mug", (str(i),)) for i in range(12)])
    assert highest == 3


async def test_live_photos_are_decoded_before_those_of_a_back_fill_that_wait() -> None:
    order, gate = list[str](), threading.Event()

    class Watched(Colours):
        def prepare(self, text: str, photo: Image | None) -> Inputs:
            gate.wait(10)
            order.append(text)
            return super().prepare(text, photo)

    gate.set()
    watched = Watched()
    async with EncoderService(watched, Photos({"red": RED}), EncodePolicy(fetches=8, decoders=1)) as service:
        gate.clear()
        order.clear()
        late = asyncio.create_task(
            service.lane(Priority.BACKFILL).prepare([Content(f"b{i}", ("red",)) for i in range(6)])
        )
        await asyncio.sleep(0.05)
        soon = asyncio.create_task(service.lane(Priority.LIVE).prepare([Content("live", ("red",))]))
        await asyncio.sleep(0.05)
        gate.set()
        await asyncio.gather(late, soon)
    assert order.index("live") == 1, "after the one that was being decoded"


async def test_the_lanes_make_the_same_vectors_whatever_runs_at_once(photos: Photos) -> None:
    contents = [Content("a" * (i + 1), ("red",) if i % 3 else ("blue",)) for i in range(40)]
    async with EncoderService(Colours(), photos, EncodePolicy(batch=4, forwards=3)) as service:
        live, late = service.lane(Priority.LIVE), service.lane(Priority.BACKFILL)
        prepared = await late.prepare(contents)
        results = await asyncio.gather(live.encode(prepared), late.encode(prepared), late.encode(prepared[:7]))
    for lane_results in results[1:]:
        for result, other in zip(lane_results, results[0], strict=False):
            assert result is not None
            assert other is not None
            np.testing.assert_array_equal(result.vectors[FUSED], other.vectors[FUSED])


async def test_a_batch_the_device_had_no_memory_for_is_smaller_the_next_time(photos: Photos) -> None:
    sizes = list[int]()

    class Narrow(Colours):
        def forward_items(self, batch: Sequence[Inputs]) -> Mapping[str, Rows]:
            sizes.append(len(batch))
            if len(batch) > 4:
                raise torch.OutOfMemoryError("no room")
            return super().forward_items(batch)

    async with EncoderService(Narrow(), photos, EncodePolicy(batch=8)) as service:
        for name in "ab":
            results = await service.encode(await service.prepare([Content(name * (i + 1), ()) for i in range(8)]))
            assert all(results)
    assert sizes[1:] == [8, 4, 4, 4, 4], "after the first of all, which warms up"


async def test_a_query_is_the_vector_an_item_of_the_same_would_have(service: EncoderService) -> None:
    (item,) = await service.encode(await service.prepare([Content("mug", ("red",))]))
    assert item is not None
    np.testing.assert_allclose(await service.encode_query(text="mug", image=RED), item.vectors[FUSED], atol=1e-6)
    assert (await service.encode_query(text="mug", image=None)).tolist() == [0, 0, 0, 1]


async def test_a_query_of_no_image_says_so_and_one_of_nothing_too(service: EncoderService) -> None:
    with pytest.raises(ImageProblem):
        await service.encode_query(text=None, image=b"no image")
    with pytest.raises(InvalidInput, match="text or an image"):
        await service.encode_query(text="  ", image=None)


async def test_what_another_encoder_prepared_is_refused(service: EncoderService) -> None:
    with pytest.raises(InvalidInput, match="prepare"):
        await service.encode([PreparedItem(ImageState.NONE, "", object())])


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process has one niceness, not each thread its own")
async def test_its_threads_stand_back_and_the_event_loop_does_not(photos: Photos) -> None:
    before, seen = os.getpriority(os.PRIO_PROCESS, 0), set[int]()

    class Watched(Colours):
        def prepare(self, text: str, photo: Image | None) -> Inputs:
            seen.add(os.getpriority(os.PRIO_PROCESS, 0))
            return super().prepare(text, photo)

        def forward_items(self, batch: Sequence[Inputs]) -> Mapping[str, Rows]:
            seen.add(os.getpriority(os.PRIO_PROCESS, 0))
            return super().forward_items(batch)

    async with EncoderService(Watched(), photos, EncodePolicy(nice=3)) as service:
        seen.clear()  # the warm-up prepares in the calling thread
        await service.encode(await service.prepare([Content("mug", ("red",))]))
    assert seen == {min(before + 3, 19)}
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


async def test_a_lost_device_is_hopeless(photos: Photos) -> None:
    class Lost(Colours):
        def forward_queries(self, batch: Sequence[Inputs]) -> Rows:
            raise torch.AcceleratorError("CUDA error: device lost")

    async with EncoderService(Lost(), photos) as service:
        with pytest.raises(FatalError):
            await service.encode_query(text="mug", image=None)
