from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest
import torch

from catalog.errors import Hopeless, Unavailable
from encoders.thread import DeviceThread, Turn, in_halves


async def test_everything_runs_in_one_thread_under_inference_mode() -> None:
    device = DeviceThread(waiting=8)
    found = await asyncio.gather(
        *(
            device.run(lambda: (threading.get_ident(), torch.is_inference_mode_enabled()), turn=Turn.LIVE)
            for _ in range(5)
        )
    )
    assert len(set(found)) == 1
    assert found[0][0] != threading.get_ident()
    assert found[0][1]
    device.close()


async def test_a_query_goes_before_items_that_wait() -> None:
    device, order, gate = DeviceThread(waiting=8), list[str](), threading.Event()
    running = asyncio.create_task(device.run(lambda: gate.wait(10), turn=Turn.LIVE))
    await asyncio.sleep(0.05)
    waiting = [
        asyncio.create_task(device.run(lambda name=name: order.append(name), turn=turn))  # type: ignore[misc]
        for name, turn in (("items 1", Turn.LIVE), ("items 2", Turn.LIVE), ("query", Turn.QUERY))
    ]
    await asyncio.sleep(0.05)
    gate.set()
    await asyncio.gather(running, *waiting)
    assert order == ["query", "items 1", "items 2"]
    device.close()


async def test_no_more_wait_than_were_agreed() -> None:
    device, gate = DeviceThread(waiting=1), threading.Event()
    running = asyncio.create_task(device.run(lambda: gate.wait(10), turn=Turn.LIVE))
    await asyncio.sleep(0.05)
    waiting = asyncio.create_task(device.run(lambda: 1, turn=Turn.LIVE))
    await asyncio.sleep(0.05)
    with pytest.raises(Unavailable, match="try again"):
        await device.run(lambda: 2, turn=Turn.QUERY)
    gate.set()
    await asyncio.gather(running, waiting)
    device.close()


async def test_an_error_reaches_who_asked_and_nobody_else() -> None:
    device = DeviceThread(waiting=8)
    wrong, right = await asyncio.gather(
        device.run(lambda: 1 // 0, turn=Turn.LIVE), device.run(lambda: 7, turn=Turn.LIVE), return_exceptions=True
    )
    assert isinstance(wrong, ZeroDivisionError)
    assert right == 7
    device.close()


async def test_one_who_stopped_waiting_is_skipped() -> None:
    device, gate, ran = DeviceThread(waiting=8), threading.Event(), list[int]()
    running = asyncio.create_task(device.run(lambda: gate.wait(10), turn=Turn.LIVE))
    await asyncio.sleep(0.05)
    gone = asyncio.create_task(device.run(lambda: ran.append(1), turn=Turn.QUERY))
    await asyncio.sleep(0.05)
    gone.cancel()
    await asyncio.sleep(0)
    gate.set()
    await running
    await device.run(lambda: ran.append(2), turn=Turn.QUERY)
    assert ran == [2]
    device.close()


def room_for(most: int, sizes: list[int]) -> object:
    def forward(batch: Sequence[int]) -> list[int]:
        sizes.append(len(batch))
        if len(batch) > most:
            raise torch.OutOfMemoryError("no room")
        return [10 * one for one in batch]

    return forward


def test_a_batch_too_large_for_the_device_goes_in_halves_in_order() -> None:
    sizes: list[int] = []
    assert in_halves(room_for(3, sizes), list(range(10))) == [10 * i for i in range(10)]  # type: ignore[arg-type]
    assert sizes == [10, 5, 2, 3, 5, 2, 3]


def test_one_item_too_large_for_the_device_is_hopeless() -> None:
    with pytest.raises(Hopeless, match="larger"):
        in_halves(room_for(0, []), [1, 2])  # type: ignore[arg-type]


def test_a_lost_device_is_hopeless() -> None:
    def forward(batch: Sequence[int]) -> list[int]:
        raise torch.AcceleratorError("CUDA error: unspecified launch failure")

    with pytest.raises(Hopeless, match="restart"):
        in_halves(forward, [1])
