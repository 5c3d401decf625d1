"""Queries that share a forward pass: each has its own result or error, and no query waits for others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import numpy as np
import pytest
import torch
from PIL.Image import Image

from catalog.errors import FatalError, ImageProblem, InvalidInput, Unavailable
from encoders import EncodePolicy, EncoderService
from encoders.batching.query_batcher import QueryBatchPolicy
from encoders.model import Inputs, Rows
from encoders.models.late_fusion import LateFusionModel
from tests.encoders.conftest import Photos, picture, png
from tests.encoders.test_service import Colours

WORDS = ["sea green mug", "Brass Lamp", "linen dress, summer", "x", "mug " * 80, "ワンピース 夏", "🧦", "ßẞ"]


class Held(Colours):
    """Records the texts of each forward pass of queries, and blocks forward passes while `gate` is closed."""

    def __init__(self) -> None:
        self.forwards: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()

    def prepare(self, text: str, photo: Image | None) -> Inputs:
        if text == "unreadable":
            raise InvalidInput("this text cannot be read: change it")
        return super().prepare(text, photo)

    def forward_queries(self, batch: Sequence[Inputs]) -> Rows:
        self.forwards.append([inputs.tokens[0] for inputs in batch])
        self.begun.set()
        assert self.gate.wait(10)
        if any(inputs.tokens[0] == 13 for inputs in batch):
            raise RuntimeError("thirteen letters")
        if any(inputs.tokens[0] == 66 for inputs in batch):
            raise torch.AcceleratorError("the device fell off")
        return super().forward_queries(batch)


@asynccontextmanager
async def serving(model: Held, policy: QueryBatchPolicy = QueryBatchPolicy()) -> AsyncIterator[EncoderService]:  # noqa: B008
    async with EncoderService(model, Photos({}), EncodePolicy(queries=policy)) as service:
        yield service
        model.gate.set()


async def ask(service: EncoderService, text: str, image: bytes | None = None) -> np.ndarray:
    return await service.encode_query(text=text, image=image)


async def queries_while_busy(service: EncoderService, model: Held, *texts: str) -> list[asyncio.Task[np.ndarray]]:
    """Queries that arrive while the forward pass of another is blocked; the first task is that other query."""
    model.gate.clear()
    model.begun.clear()
    first = asyncio.create_task(ask(service, "first"))
    await asyncio.to_thread(model.begun.wait, 10)
    others = [asyncio.create_task(ask(service, text)) for text in texts]
    await asyncio.sleep(0.02)
    return [first, *others]


async def test_a_lone_query_goes_at_once_and_those_that_come_meanwhile_go_together() -> None:
    model = Held()
    async with serving(model) as service:
        tasks = await queries_while_busy(service, model, "a", "bb", "ccc")
        model.gate.set()
        await asyncio.gather(*tasks)
    assert model.forwards == [[5], [1, 2, 3]]


async def test_a_forward_takes_no_more_than_agreed_and_the_rest_go_next() -> None:
    model = Held()
    async with serving(model, QueryBatchPolicy(words=2)) as service:
        tasks = await queries_while_busy(service, model, "a", "bb", "ccc", "dddd", "eeeee")
        model.gate.set()
        await asyncio.gather(*tasks)
    assert model.forwards == [[5], [1, 2], [3, 4], [5]]


async def test_who_is_cancelled_while_waiting_is_in_no_forward() -> None:
    model = Held()
    async with serving(model) as service:
        first, first_waiting, second_waiting, third_waiting = await queries_while_busy(service, model, "a", "bb", "ccc")
        second_waiting.cancel()
        await asyncio.sleep(0)
        model.gate.set()
        await asyncio.gather(first, first_waiting, third_waiting)
    assert second_waiting.cancelled()
    assert model.forwards == [[5], [1, 3]]


async def test_when_all_are_cancelled_there_is_no_forward() -> None:
    model = Held()
    async with serving(model) as service:
        first, first_waiting = await queries_while_busy(service, model, "a")
        first_waiting.cancel()
        await asyncio.sleep(0)
        model.gate.set()
        await first
        await ask(service, "last")
    assert model.forwards == [[5], [4]]


async def test_each_query_has_its_own_error() -> None:
    model = Held()
    async with serving(model) as service:
        texts = ["a", "unreadable", "poison", "n" * 13, "bb"]
        tasks = await queries_while_busy(service, model, *texts)
        model.gate.set()
        _, good, unreadable, poison, thirteen, other = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(good, np.ndarray)
    assert isinstance(other, np.ndarray)
    assert isinstance(unreadable, InvalidInput)
    assert isinstance(poison, InvalidInput)
    assert "gives no vector for this query" in str(poison)
    assert isinstance(thirteen, RuntimeError)


async def test_a_lost_device_is_everybodys_error() -> None:
    model = Held()
    async with serving(model) as service:
        tasks = await queries_while_busy(service, model, "a", "l" * 66)
        model.gate.set()
        _, *rest = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(error) for error in rest] == [FatalError, FatalError]
    assert len(model.forwards) == 2, "nobody is tried alone on a device that is gone"


async def test_too_many_waiting_are_told_so_and_the_others_are_answered() -> None:
    model = Held()
    async with serving(model, QueryBatchPolicy(waiting=2)) as service:
        tasks = await queries_while_busy(service, model, "a", "bb", "ccc")
        model.gate.set()
        *good, refused = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, np.ndarray) for result in good)
    assert isinstance(refused, Unavailable)


async def test_photos_and_words_go_apart_so_that_words_wait_for_no_photo() -> None:
    model = Held()
    async with serving(model) as service:
        tasks = await queries_while_busy(service, model, "a", "bb")
        tasks.append(asyncio.create_task(ask(service, "red", png(picture("red")))))
        await asyncio.sleep(0.1)
        model.gate.set()
        await asyncio.gather(*tasks)
        with pytest.raises(ImageProblem):
            await ask(service, "red", b"no image")
    assert model.forwards == [[5], [1, 2], [3]]


async def test_together_they_get_the_vectors_they_get_alone(small: LateFusionModel) -> None:
    async with EncoderService(small, Photos({})) as service:
        alone = [await ask(service, text) for text in WORDS]
        together = await asyncio.gather(*(ask(service, text) for text in WORDS))
    for vector, other in zip(alone, together, strict=True):
        # bfloat16 arithmetic differs slightly with the shape of the batch.
        assert float(vector @ other) > 0.9995
        assert other.base is None, "a row would keep its whole batch in memory"
