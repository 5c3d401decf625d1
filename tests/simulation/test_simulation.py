from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.simulation.schedule import FAULTS, draw
from tests.simulation.shrink import failure_report
from tests.simulation.simulation import play

SCHEDULES = 300


# Occurrences that the schedules must include: without one of them, the checks would prove too little.
OCCURRENCES = {
    *FAULTS,
    "response lost",
    "commit refused",
    "delivered again",
    "due",
    "healed",
    "stored point reused",
    "invalid",
    "conflict",
    "no finite vector",
    "photo retried",
    "written after a timeout",
}


@pytest.mark.timeout(600)  # it takes seconds on an idle machine
def test_every_schedule_keeps_every_guarantee():
    seen: Counter[str] = Counter()
    for seed in range(SCHEDULES):
        schedule = draw(seed)
        played = play(schedule)
        assert not played.failure, failure_report(schedule)
        seen += played.seen
    assert seen.keys() == OCCURRENCES


def test_a_seed_is_the_same_schedule_in_every_process():
    """Independent of the order of sets: otherwise a seed could not be replayed."""
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
