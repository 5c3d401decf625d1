from __future__ import annotations

import asyncio

import pytest

from streams.config import BatchPolicy
from streams.pipeline.batcher import Batcher


def settled(each: float, *, depth: int = 4) -> Batcher[int]:
    """The batcher after many records of `each` seconds, with `depth` batches in flight that share the machine."""
    batcher: Batcher[int] = Batcher(BatchPolicy(max_records=256, goal_s=2.0))
    sizes = [batcher.size_limit] * depth
    for _ in range(60):
        batcher.observe_duration(sizes.pop(0), each * (sum(sizes) + batcher.size_limit))
        sizes.append(batcher.size_limit)
    return batcher


@pytest.mark.parametrize(("each", "limit"), [(0.0001, 256), (0.005, 100), (0.05, 16)])
def test_the_size_limit_approaches_what_passes_in_the_goal(each: float, limit: int) -> None:
    assert settled(each).size_limit == pytest.approx(limit, rel=0.1)


def test_a_small_batch_does_not_move_the_size_limit() -> None:
    batcher = settled(0.0001)
    batcher.observe_duration(3, 5.0)
    assert batcher.size_limit == 256


def test_the_size_limit_never_exceeds_the_policy() -> None:
    batcher: Batcher[int] = Batcher(BatchPolicy(max_records=4))
    batcher.observe_duration(4, 0.0)
    assert batcher.size_limit == 4
    batcher.observe_duration(4, 1000.0)
    assert batcher.size_limit == 4


async def test_put_waits_while_the_batcher_is_full() -> None:
    batcher: Batcher[int] = Batcher(BatchPolicy(max_records=4, within_s=60))
    batcher.set_idle(False)
    for item in range(4):
        await batcher.put(item)
    fifth = asyncio.create_task(batcher.put(4))
    await asyncio.sleep(0)
    assert not fifth.done()
    assert await batcher.batch() == [0, 1, 2, 3]
    await fifth
    batcher.set_idle(True)
    assert await batcher.batch() == [4]
