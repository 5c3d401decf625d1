"""Items that are read in one job: each caller gets its own inputs or its own error."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Iterator

import pytest

from catalog.domain.image_state import ImageState
from catalog.errors import ImageProblem
from encoders.batching.decode_batcher import MAX_RESULTS, DecodeBatcher
from encoders.batching.executor import Priority, PriorityThreadPool
from encoders.model import Inputs


class Gate:
    """Reads a text as its length while it is open; "broken" is a broken photo."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.read: list[str] = []

    def __call__(self, text: str, data: bytes | None) -> Inputs:
        assert self.open.wait(10)
        self.read.append(text)
        if text == "broken":
            raise ImageProblem(ImageState.BROKEN, "it is broken")
        return Inputs((len(text),), None)


@pytest.fixture
def threads() -> Iterator[PriorityThreadPool]:
    pool = PriorityThreadPool("decode", threads=2, waiting=4)
    yield pool
    pool.close()


async def test_each_gets_its_own_and_a_broken_one_breaks_no_other(threads: PriorityThreadPool) -> None:
    gate = Gate()
    gate.open.set()
    reading = DecodeBatcher(gate, threads, Priority.LIVE)
    texts = ["x" * n if n % 7 else "broken" for n in range(50)]
    results = await asyncio.gather(*(reading(text, None) for text in texts), return_exceptions=True)
    for text, inputs in zip(texts, results, strict=True):
        if text == "broken":
            assert isinstance(inputs, ImageProblem)
        else:
            assert inputs == Inputs((len(text),), None)


async def test_more_may_wait_than_jobs_and_a_lone_one_waits_for_nothing(threads: PriorityThreadPool) -> None:
    gate = Gate()
    reading = DecodeBatcher(gate, threads, Priority.LIVE)
    tasks = [asyncio.create_task(reading("x" * n, None)) for n in range(5 * MAX_RESULTS)]
    await asyncio.sleep(0.01)
    assert not any(task.done() for task in tasks)
    gate.open.set()
    assert [inputs.tokens[0] for inputs in await asyncio.gather(*tasks)] == list(range(5 * MAX_RESULTS))
    assert (await reading("alone", None)).tokens == (5,)


async def test_who_is_gone_is_not_read(threads: PriorityThreadPool) -> None:
    gate = Gate()
    reading = DecodeBatcher(gate, threads, Priority.LIVE)
    running = [asyncio.create_task(reading(text, None)) for text in ("a", "b")]
    await asyncio.sleep(0.05)
    cancelled = asyncio.create_task(reading("gone", None))
    await asyncio.sleep(0.01)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    gate.open.set()
    await asyncio.gather(*running)
    assert (await reading("after", None)).tokens == (5,)
    assert "after" in gate.read


async def test_large_photos_are_jobs_of_their_own() -> None:
    """Each takes longer than a job should, so the pool chooses the next priority after each."""
    gate, now = Gate(), itertools.count()
    threads = PriorityThreadPool("decode", threads=1, waiting=4)
    reading = DecodeBatcher(gate, threads, Priority.BACKFILL, clock=lambda: float(next(now)))
    live = DecodeBatcher(gate, threads, Priority.LIVE)
    late = [asyncio.create_task(reading(f"b{n}", None)) for n in range(6)]
    await asyncio.sleep(0.05)
    soon = asyncio.create_task(live("live", None))
    await asyncio.sleep(0.05)
    gate.open.set()
    await asyncio.gather(soon, *late)
    threads.close()
    assert gate.read.index("live") == 1
