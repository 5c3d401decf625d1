"""Items that share forward passes: each batch has its own result, and no item waits for others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from catalog.errors import FatalError
from encoders.batching.batch_size import ForwardSize
from encoders.batching.executor import Priority, PriorityThreadPool
from encoders.batching.item_batcher import ItemBatcher, ItemVectors
from encoders.model import Inputs

PIXELS = np.zeros((2, 2, 3), dtype=np.uint8)


def item(number: int, *, photo: bool = True, length: int = 1) -> Inputs:
    return Inputs((number,) * length, PIXELS if photo else None)


def vectors(number: int) -> dict[str, np.ndarray]:
    return {"fused": np.full(2, number, dtype=np.float32)}


class Device:
    """Records the numbers of each forward pass, and blocks forward passes while `gate` is closed."""

    def __init__(self) -> None:
        self.forwards: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()

    def forward(self, batch: Sequence[Inputs]) -> list[ItemVectors]:
        numbers = [inputs.tokens[0] for inputs in batch]
        self.forwards.append(numbers)
        self.begun.set()
        assert self.gate.wait(10)
        if 66 in numbers:
            raise FatalError("the device fell off")
        return [None if number == 13 else vectors(number) for number in numbers]


@pytest.fixture
def device() -> Device:
    return Device()


@pytest.fixture
def lane(device: Device) -> Iterator[Callable[[int], ItemBatcher]]:
    threads = PriorityThreadPool("device", threads=1, waiting=4)

    def make(max_items: int) -> ItemBatcher:
        sizes = {photo: ForwardSize(seconds=1000.0, max_items=max_items) for photo in (True, False)}
        return ItemBatcher(device.forward, threads, sizes, Priority.LIVE)

    yield make
    device.gate.set()
    threads.close()


def numbers(results: Sequence[ItemVectors]) -> list[float | None]:
    return [None if item_vectors is None else float(item_vectors["fused"][0]) for item_vectors in results]


async def held_back(device: Device, items: ItemBatcher) -> asyncio.Task[list[ItemVectors]]:
    """A forward pass of item 0 that runs until the gate is opened."""
    device.gate.clear()
    first = asyncio.create_task(items.encode([item(0)]))
    await asyncio.to_thread(device.begun.wait, 10)
    return first


async def test_nothing_is_no_forward(device: Device, lane: Callable[[int], ItemBatcher]) -> None:
    assert await lane(8).encode([]) == []
    assert device.forwards == []


async def test_what_comes_while_the_device_is_busy_shares_a_forward(
    device: Device, lane: Callable[[int], ItemBatcher]
) -> None:
    items = lane(8)
    first = await held_back(device, items)
    others = [asyncio.create_task(items.encode([item(2 * n), item(2 * n + 1)])) for n in (1, 2, 3)]
    await asyncio.sleep(0)
    device.gate.set()
    assert numbers(await first) == [0]
    assert [numbers(await other) for other in others] == [[2, 3], [4, 5], [6, 7]]
    assert device.forwards == [[0], [2, 3, 4, 5, 6, 7]]


async def test_a_forward_is_never_larger_than_its_size_and_its_items_are_alike(
    device: Device, lane: Callable[[int], ItemBatcher]
) -> None:
    items = lane(3)
    batch = [item(n, photo=n % 2 == 0, length=10 - n) for n in range(1, 9)]
    assert numbers(await items.encode(batch)) == list(range(1, 9))
    assert device.forwards == [[8, 6, 4], [7, 5, 3], [2], [1]]


async def test_what_gives_no_vector_is_none_and_its_neighbours_go_on(
    device: Device, lane: Callable[[int], ItemBatcher]
) -> None:
    assert numbers(await lane(8).encode([item(12), item(13), item(14)])) == [12, None, 14]


async def test_an_error_is_that_of_every_batch_in_the_forward_and_of_no_other(
    device: Device, lane: Callable[[int], ItemBatcher]
) -> None:
    items = lane(2)
    first = await held_back(device, items)
    bad, same_forward, after = (asyncio.create_task(items.encode([item(n)])) for n in (66, 1, 2))
    await asyncio.sleep(0)
    device.gate.set()
    assert numbers(await first) == [0]
    with pytest.raises(FatalError):
        await bad
    with pytest.raises(FatalError):
        await same_forward
    assert numbers(await after) == [2]


async def test_what_nobody_waits_for_any_more_is_not_encoded(
    device: Device, lane: Callable[[int], ItemBatcher]
) -> None:
    items = lane(8)
    first = await held_back(device, items)
    gone, here = (asyncio.create_task(items.encode([item(n)])) for n in (1, 2))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    device.gate.set()
    await first
    assert numbers(await here) == [2]
    assert device.forwards == [[0], [2]]
