from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.simulation.schedule import FAULTS, draw
from tests.simulation.shrink import shortened
from tests.simulation.simulation import play

SCHEDULES = 300


# What a schedule may meet: were one of these never met, the promises would be kept for want of trouble.
TROUBLE = {
    *FAULTS,
    "answer lost",
    "commit refused",
    "delivered again",
    "due",
    "healed",
    "held",
    "invalid",
    "moved",
    "no finite vector",
    "repaired",
    "written after it was given up",
}


@pytest.mark.timeout(600)  # it takes seconds, where the machine is not busy with other things
def test_every_schedule_keeps_every_promise():
    seen: Counter[str] = Counter()
    for seed in range(SCHEDULES):
        schedule = draw(seed)
        played = play(schedule)
        assert not played.failure, shortened(schedule)
        seen += played.seen
    assert seen.keys() == TROUBLE


def test_a_seed_is_the_same_schedule_in_every_process():
    """Whatever order sets have there: otherwise a seed could not be run again."""
    script = (
        "from hashlib import sha256\n"
        "from tests.simulation.schedule import draw\n"
        "from tests.simulation.simulation import play\n"
        "traces = [play(draw(seed)).trace for seed in range(25)]\n"
        "print(sha256(''.join(traces).encode()).hexdigest())"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": salt},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for salt in ("1", "2")
    }
    assert len(seen) == 1
