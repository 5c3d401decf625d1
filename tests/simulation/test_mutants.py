from __future__ import annotations

import re
from collections.abc import Callable

import pytest

import catalog.ingest.decide
import catalog.ingest.ingest
from tests.simulation import mutants
from tests.simulation.schedule import draw
from tests.simulation.shrink import shorten
from tests.simulation.simulation import play
from tests.simulation.worker import Parts

SCHEDULES = 1000
EARLY = "committed before it was applied"
BACK = "goes back from"
WRONG = "it should be"


def noticed(parts: Parts, promise: str) -> int:
    """The first seed whose schedule fails, for breaking this promise."""
    for seed in range(SCHEDULES):
        if failure := play(draw(seed), parts).failure:
            assert re.search(promise, failure)
            return seed
    pytest.fail(f"not noticed in {SCHEDULES} schedules")


@pytest.mark.parametrize(
    ("parts", "promise"),
    [
        pytest.param(Parts(store=mutants.Unguarded), BACK, id="writes are not guarded"),
        pytest.param(Parts(index=mutants.Forgetful), f"{WRONG}|{EARLY}", id="a delete removes the point"),
        pytest.param(Parts(pipeline=mutants.AckFirst), EARLY, id="acknowledged before it is written"),
        pytest.param(Parts(pipeline=mutants.AnyOrder), EARLY, id="acknowledged out of order"),
        pytest.param(Parts(ingest=mutants.NeighboursDropped), WRONG, id="a poison's neighbours are refused"),
        pytest.param(Parts(ingest=mutants.NeighboursForgotten), EARLY, id="a poison's neighbours are forgotten"),
        pytest.param(Parts(index=mutants.MovedForgotten), EARLY, id="what has moved is not decided again"),
        pytest.param(Parts(ingest=mutants.QuarantineSkipped), EARLY, id="what is refused is not kept"),
        pytest.param(Parts(repair=mutants.RepairUnguarded), BACK, id="a photo is repaired without a guard"),
    ],
)
def test_a_broken_part_is_noticed(parts: Parts, promise: str):
    noticed(parts, promise)


@pytest.mark.parametrize(
    ("decide", "promise"),
    [
        pytest.param(mutants.oldest_only, EARLY, id="coalescing keeps the oldest"),
        pytest.param(mutants.always_encode, "encodes", id="what has not changed is encoded"),
    ],
)
def test_a_broken_decision_is_noticed(decide: Callable[..., object], promise: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(catalog.ingest.ingest, "decide", decide)
    noticed(Parts(), promise)


@pytest.mark.parametrize(
    ("apply", "promise"),
    [
        pytest.param(mutants.one_counter, EARLY, id="one counter for offer and content"),
        pytest.param(mutants.patches_dropped, BACK, id="a put forgets newer patches"),
        pytest.param(mutants.last_wins, BACK, id="the last to arrive wins"),
    ],
)
def test_broken_registers_are_noticed(apply: Callable[..., object], promise: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(catalog.ingest.decide, "apply", apply)
    noticed(Parts(), promise)


def test_a_failing_schedule_is_shortened():
    parts = Parts(store=mutants.Unguarded)
    schedule = draw(noticed(parts, BACK))
    short = shorten(schedule, parts)
    assert play(short, parts).failure
    assert len(short.events) + len(short.faults) < len(schedule.events) / 2
