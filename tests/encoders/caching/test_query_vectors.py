"""The cache of query vectors: equal texts are one query, and its memory is bounded."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.domain.space import Space
from catalog.errors import Unavailable
from catalog.ports import QueryEncoder, Vector
from encoders import EncoderService
from encoders.caching.query_vectors import OVERHEAD, QueryCachePolicy, QueryVectorCache, ignores_case, normalised
from encoders.models.late_fusion import LateFusionModel
from tests.encoders.conftest import Photos, picture, png
from tests.encoders.test_service import Colours
from tests.fakes import SPACE, unit

ROOM = QueryCachePolicy(entries=1000, max_bytes=1_000_000)


@dataclass
class RecordingEncoder:
    """A QueryEncoder that records its texts; while `gate` is closed, no query is answered."""

    space: Space = SPACE
    texts: list[str | None] = field(default_factory=list)
    failure: Exception | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    ended: list[str] = field(default_factory=list)

    async def encode_query(self, *, text: str | None, image: bytes | None) -> Vector:
        self.texts.append(text)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.ended.append(text or "")
            raise
        if self.failure is not None:
            raise self.failure
        return unit(text or "photo", 8)


@pytest.fixture
def recorder() -> RecordingEncoder:
    encoder = RecordingEncoder()
    encoder.gate.set()
    return encoder


async def ask(encoder: QueryEncoder, text: str, image: bytes | None = None) -> Vector:
    return await encoder.encode_query(text=text, image=image)


@pytest.mark.parametrize("variant", ["red mug", " red \t mug\n", "red\u00a0mug", "red\u3000 mug"])
async def test_a_text_that_was_met_is_not_encoded_again(recorder: RecordingEncoder, variant: str) -> None:
    cache = QueryVectorCache(recorder, policy=ROOM)
    first = await ask(cache, "red mug")
    assert await ask(cache, variant) is first
    assert (recorder.texts, cache.hits) == (["red mug"], 1)
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 1


async def test_two_ways_to_write_one_letter_are_one_text_which_is_what_is_encoded(recorder: RecordingEncoder) -> None:
    cache = QueryVectorCache(recorder, policy=ROOM)
    await ask(cache, "Mo\u0308bel")
    await ask(cache, "M\u00f6bel")
    assert recorder.texts == ["M\u00f6bel"]


@pytest.mark.parametrize(("uncased", "texts"), [(True, ["red mug"]), (False, ["Red MUG", "red mug"])])
async def test_case_counts_where_the_model_reads_it(
    recorder: RecordingEncoder, uncased: bool, texts: list[str]
) -> None:
    cache = QueryVectorCache(recorder, policy=ROOM, uncased=uncased)
    for text in ("Red MUG", "red mug"):
        await ask(cache, text)
    assert recorder.texts == texts


async def test_queries_with_a_photo_and_empty_ones_pass_through(recorder: RecordingEncoder) -> None:
    cache = QueryVectorCache(recorder, policy=ROOM)
    for _ in range(2):
        await ask(cache, "mug", b"photo")
        await ask(cache, " ")
    assert len(recorder.texts) == 4
    assert cache.size == 0


async def test_an_error_is_told_and_not_remembered(recorder: RecordingEncoder) -> None:
    cache = QueryVectorCache(recorder, policy=ROOM)
    recorder.failure = Unavailable("too many wait")
    for _ in range(2):
        with pytest.raises(Unavailable, match="too many wait"):
            await ask(cache, "mug")
    recorder.failure = None
    await ask(cache, "mug")
    assert recorder.texts == ["mug"] * 3


async def test_equal_texts_at_once_are_one_query_and_who_leaves_takes_it_from_nobody(
    recorder: RecordingEncoder,
) -> None:
    cache = QueryVectorCache(recorder, policy=ROOM)
    recorder.gate.clear()
    tasks = [asyncio.create_task(ask(cache, text)) for text in ("mug", " mug", "mug", "lamp")]
    await asyncio.sleep(0)
    tasks[0].cancel()
    await asyncio.sleep(0)
    recorder.gate.set()
    _, one, other, lamp = await asyncio.gather(*tasks, return_exceptions=True)
    assert tasks[0].cancelled()
    assert one is other
    assert lamp is not one
    assert recorder.texts == ["mug", "lamp"]


async def test_a_query_that_everyone_left_is_cancelled_and_can_be_asked_again(recorder: RecordingEncoder) -> None:
    cache = QueryVectorCache(recorder, policy=ROOM)
    recorder.gate.clear()
    tasks = [asyncio.create_task(ask(cache, "mug")) for _ in range(2)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0)
    assert recorder.ended == ["mug"]
    recorder.gate.set()
    await ask(cache, "mug")
    assert recorder.texts == ["mug", "mug"]


async def test_the_memory_is_bounded_in_bytes_and_forgets_what_was_used_longest_ago(recorder: RecordingEncoder) -> None:
    one = 8 * 4 + 4 * 2 + OVERHEAD
    cache = QueryVectorCache(recorder, policy=QueryCachePolicy(entries=1000, max_bytes=3 * one))
    for text in ("q0", "q1", "q2", "q0", "q3"):
        await ask(cache, text)
    assert cache.size == 3 * one
    recorder.texts.clear()
    for text in ("q0", "q3", "q2", "q1"):
        await ask(cache, text)
    assert recorder.texts == ["q1"]


def test_which_models_read_case(small: LateFusionModel) -> None:
    assert ignores_case(small)
    assert ignores_case(Colours()), "it counts letters"


@given(st.text(min_size=1, max_size=40))
def test_texts_of_one_form_are_the_same_to_the_model(small: LateFusionModel, text: str) -> None:
    same = normalised(text, uncased=True)
    assert normalised(same, uncased=True) == same or same != normalised(text, uncased=False)
    assert small.prepare(normalised(text, uncased=False), None).tokens == small.prepare(text, None).tokens


async def test_a_real_model_gives_from_memory_what_it_gave_before(small: LateFusionModel) -> None:
    async with EncoderService(small, Photos({})) as service:
        cache = QueryVectorCache(service, policy=ROOM, uncased=service.uncased)
        fresh = await ask(service, "Sea Green  Mug")
        assert float(fresh @ await ask(cache, "sea green mug")) > 0.9999
        assert cache.hits == 0
        assert await ask(cache, "SEA green\tmug") is await ask(cache, "sea green mug")
        assert cache.hits == 2
        photo = png(picture("teal"))
        np.testing.assert_array_equal(await ask(cache, "mug", photo), await ask(service, "mug", photo))
