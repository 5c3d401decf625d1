from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import Unavailable
from encoders.batching.executor import FairShare, Priority, PriorityThreadPool


async def test_everything_runs_in_threads_of_its_own_that_each_began() -> None:
    began = list[int]()
    device = PriorityThreadPool("torch", threads=2, waiting=8, begin=lambda: began.append(threading.get_ident()))
    together = threading.Barrier(2)

    def run() -> int:
        together.wait(10)
        return threading.get_ident()

    idents = await asyncio.gather(device.run(run, priority=Priority.LIVE), device.run(run, priority=Priority.BACKFILL))
    assert set(idents) == set(began)
    assert len(set(idents) - {threading.get_ident()}) == 2
    device.close()


async def test_queries_go_before_live_and_live_before_back_fill() -> None:
    device, order, gate = PriorityThreadPool("torch", waiting=8, clock=lambda: 0.0), list[str](), threading.Event()
    running = asyncio.create_task(device.run(lambda: gate.wait(10), priority=Priority.BACKFILL))
    await asyncio.sleep(0.05)
    priorities = (Priority.BACKFILL, Priority.LIVE, Priority.LIVE, Priority.QUERY)
    waiting = [
        asyncio.create_task(device.run(lambda name=priority.name: order.append(name), priority=priority))  # type: ignore[misc]
        for priority in priorities
    ]
    await asyncio.sleep(0.05)
    gate.set()
    await asyncio.gather(running, *waiting)
    assert order == ["QUERY", "LIVE", "LIVE", "BACKFILL"]
    device.close()


async def test_back_fill_moves_while_there_is_always_live_work() -> None:
    ticks, order = iter(range(10_000)), list[Priority]()
    device = PriorityThreadPool("torch", waiting=100, share=0.25, clock=lambda: float(next(ticks)))
    gate = threading.Event()
    running = asyncio.create_task(device.run(lambda: gate.wait(10), priority=Priority.QUERY))
    await asyncio.sleep(0.05)
    waiting = [
        asyncio.create_task(device.run(lambda priority=priority: order.append(priority), priority=priority))  # type: ignore[misc]
        for priority in (Priority.LIVE, Priority.BACKFILL)
        for _ in range(40)
    ]
    await asyncio.sleep(0.05)
    gate.set()
    await asyncio.gather(running, *waiting)
    assert order[:40].count(Priority.BACKFILL) == 10
    device.close()


@given(
    st.floats(0.05, 0.5),
    st.lists(st.tuples(st.lists(st.booleans(), min_size=3, max_size=3).filter(any), st.floats(0.01, 1)), max_size=60),
)
def test_queries_are_always_next_and_back_fill_gets_its_share(
    share: float, jobs: list[tuple[list[bool], float]]
) -> None:
    fair_share, both, back_fill = FairShare(share), 0.0, 0.0
    for waiting, seconds in jobs:
        priority = fair_share.next(waiting)
        assert waiting[priority]
        if waiting[Priority.QUERY]:
            assert priority is Priority.QUERY
        elif waiting[Priority.LIVE] and waiting[Priority.BACKFILL]:
            both += seconds
            back_fill += seconds if priority is Priority.BACKFILL else 0.0
        fair_share.took(priority, seconds, waiting)
        # Neither side can be ahead by more than one job, which takes at most a second.
        assert abs(back_fill - share * both) <= 1 + 1e-6


async def test_no_more_of_a_turn_wait_than_were_agreed() -> None:
    device, gate = PriorityThreadPool("torch", waiting=1), threading.Event()
    running = asyncio.create_task(device.run(lambda: gate.wait(10), priority=Priority.LIVE))
    await asyncio.sleep(0.05)
    waiting = asyncio.create_task(device.run(lambda: 1, priority=Priority.BACKFILL))
    await asyncio.sleep(0.05)
    with pytest.raises(Unavailable, match="try again"):
        await device.run(lambda: 2, priority=Priority.BACKFILL)
    query = asyncio.create_task(device.run(lambda: 3, priority=Priority.QUERY))
    await asyncio.sleep(0.05)
    gate.set()
    assert await asyncio.gather(running, waiting, query) == [True, 1, 3]
    device.close()


async def test_an_error_reaches_who_asked_and_nobody_else() -> None:
    device = PriorityThreadPool("torch", waiting=8)
    wrong, right = await asyncio.gather(
        device.run(lambda: 1 // 0, priority=Priority.LIVE),
        device.run(lambda: 7, priority=Priority.LIVE),
        return_exceptions=True,
    )
    assert isinstance(wrong, ZeroDivisionError)
    assert right == 7
    device.close()


async def test_one_who_stopped_waiting_is_skipped() -> None:
    device, gate, ran = PriorityThreadPool("torch", waiting=8), threading.Event(), list[int]()
    running = asyncio.create_task(device.run(lambda: gate.wait(10), priority=Priority.LIVE))
    await asyncio.sleep(0.05)
    cancelled = asyncio.create_task(device.run(lambda: ran.append(1), priority=Priority.QUERY))
    await asyncio.sleep(0.05)
    cancelled.cancel()
    await asyncio.sleep(0)
    gate.set()
    await running
    await device.run(lambda: ran.append(2), priority=Priority.QUERY)
    assert ran == [2]
    device.close()
