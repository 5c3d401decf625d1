from __future__ import annotations

from collections.abc import Callable

import pytest

import catalog.decide
import catalog.ingest
from tests.simulation import mutants
from tests.simulation.schedule import draw
from tests.simulation.shrink import shorten
from tests.simulation.simulation import play
from tests.simulation.worker import Parts

SCHEDULES = 1000


def noticed(parts: Parts) -> int:
    """The first seed whose schedule fails."""
    for seed in range(SCHEDULES):
        if play(draw(seed), parts).failure:
            return seed
    pytest.fail(f"not noticed in {SCHEDULES} schedules")


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param(Parts(store=mutants.Unguarded), id="the guard of writes is off"),
        pytest.param(Parts(store=mutants.Forgetful), id="a delete removes the point"),
        pytest.param(Parts(pipeline=mutants.AckFirst), id="acknowledged before it is written"),
        pytest.param(Parts(pipeline=mutants.AnyOrder), id="acknowledged out of order"),
        pytest.param(Parts(ingest=mutants.NeighboursDropped), id="the neighbours of a poisoned item are refused"),
        pytest.param(Parts(ingest=mutants.NeighboursForgotten), id="the neighbours of a poisoned item are forgotten"),
        pytest.param(Parts(index=mutants.MovedForgotten), id="what has moved is not decided again"),
        pytest.param(Parts(ingest=mutants.QuarantineSkipped), id="what is refused is not kept"),
    ],
)
def test_a_broken_part_is_noticed(parts: Parts):
    noticed(parts)


@pytest.mark.parametrize("decide", [mutants.oldest_only, mutants.always_encode], ids=lambda d: d.__doc__)
def test_a_broken_decision_is_noticed(decide: Callable[..., object], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(catalog.ingest, "decide", decide)
    noticed(Parts())


@pytest.mark.parametrize(
    "apply", [mutants.one_counter, mutants.patches_dropped, mutants.last_wins], ids=lambda a: a.__doc__
)
def test_broken_registers_are_noticed(apply: Callable[..., object], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(catalog.decide, "apply", apply)
    noticed(Parts())


def test_a_failing_schedule_is_shortened():
    parts = Parts(store=mutants.Unguarded)
    schedule = draw(noticed(parts))
    short = shorten(schedule, parts)
    assert play(short, parts).failure
    assert len(short.events) + len(short.faults) < len(schedule.events) / 2
