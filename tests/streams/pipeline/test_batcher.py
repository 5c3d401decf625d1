from __future__ import annotations

import asyncio

import pytest

from streams.config import BatchPolicy
from streams.pipeline.batcher import Batcher


def settled(each: float, *, depth: int = 4) -> Batcher[int]:
    """What records of so many seconds make of it, with `depth` batches in flight that share the machine."""
    intake: Batcher[int] = Batcher(BatchPolicy(max_records=256, goal_s=2.0))
    gathered = [intake.full] * depth
    for _ in range(60):
        intake.took(gathered.pop(0), each * (sum(gathered) + intake.full))
        gathered.append(intake.full)
    return intake


@pytest.mark.parametrize(("each", "full"), [(0.0001, 256), (0.005, 100), (0.05, 16)])
def test_full_is_what_passes_in_about_the_goal(each: float, full: int) -> None:
    assert settled(each).full == pytest.approx(full, rel=0.1)


def test_a_few_records_say_nothing_of_many() -> None:
    intake = settled(0.0001)
    intake.took(3, 5.0)
    assert intake.full == 256


def test_full_never_exceeds_what_is_allowed() -> None:
    intake: Batcher[int] = Batcher(BatchPolicy(max_records=4))
    intake.took(4, 0.0)
    assert intake.full == 4
    intake.took(4, 1000.0)
    assert intake.full == 4


async def test_who_puts_into_a_full_intake_waits_for_the_batch_to_be_taken() -> None:
    intake: Batcher[int] = Batcher(BatchPolicy(max_records=4, within_s=60))
    intake.idle(False)
    for item in range(4):
        await intake.put(item)
    fifth = asyncio.create_task(intake.put(4))
    await asyncio.sleep(0)
    assert not fifth.done()
    assert await intake.batch() == [0, 1, 2, 3]
    await fifth
    intake.idle(True)
    assert await intake.batch() == [4]
