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
from tests.simulation.worker import Components

SCHEDULES = 1000
EARLY = "committed before it was applied"
BACK = "goes back from"
WRONG = "it should be"


def first_failing_seed(components: Components, violation: str) -> int:
    """The first seed whose schedule fails, with this violation."""
    for seed in range(SCHEDULES):
        if failure := play(draw(seed), components).failure:
            assert re.search(violation, failure)
            return seed
    pytest.fail(f"not detected in {SCHEDULES} schedules")


MUTANTS = [
    thing for thing in vars(mutants).values() if isinstance(thing, type) and thing.__module__ == mutants.__name__
]


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mutant_replaces_a_method_that_exists(mutant: type) -> None:
    """One whose method was renamed would change nothing, and the part it stands for would no longer be tried."""
    own = [name for name, thing in vars(mutant).items() if callable(thing)]
    assert own
    assert [name for name in own if not any(hasattr(base, name) for base in mutant.__bases__)] == []


@pytest.mark.parametrize(
    ("components", "violation"),
    [
        pytest.param(Components(store=mutants.Unguarded), BACK, id="writes are not guarded"),
        pytest.param(Components(index=mutants.Forgetful), f"{WRONG}|{EARLY}", id="a delete removes the point"),
        pytest.param(Components(pipeline=mutants.AckFirst), EARLY, id="acknowledged before it is written"),
        pytest.param(Components(pipeline=mutants.AnyOrder), EARLY, id="acknowledged out of order"),
        pytest.param(Components(ingest=mutants.NeighboursDropped), WRONG, id="a poison's neighbours are refused"),
        pytest.param(Components(ingest=mutants.NeighboursForgotten), EARLY, id="a poison's neighbours are forgotten"),
        pytest.param(Components(index=mutants.ConflictsIgnored), EARLY, id="conflicts are not decided again"),
        pytest.param(Components(ingest=mutants.QuarantineSkipped), EARLY, id="rejects are not quarantined"),
        pytest.param(
            Components(image_retrier=mutants.RetryUnguarded), BACK, id="an image retry is written without a guard"
        ),
    ],
)
def test_a_broken_part_is_detected(components: Components, violation: str):
    first_failing_seed(components, violation)


@pytest.mark.parametrize(
    ("decide", "violation"),
    [
        pytest.param(mutants.oldest_only, EARLY, id="coalescing keeps the oldest"),
        pytest.param(mutants.always_encode, "encodes", id="unchanged content is encoded"),
    ],
)
def test_a_broken_decision_is_detected(decide: Callable[..., object], violation: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(catalog.ingest.ingest, "decide", decide)
    first_failing_seed(Components(), violation)


@pytest.mark.parametrize(
    ("apply", "violation"),
    [
        pytest.param(mutants.one_counter, EARLY, id="one counter for offer and content"),
        pytest.param(mutants.patches_dropped, BACK, id="a put forgets newer patches"),
        pytest.param(mutants.last_wins, BACK, id="the last to arrive wins"),
    ],
)
def test_broken_registers_are_detected(apply: Callable[..., object], violation: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(catalog.ingest.decide, "apply", apply)
    first_failing_seed(Components(), violation)


def test_a_failing_schedule_is_shortened():
    components = Components(store=mutants.Unguarded)
    schedule = draw(first_failing_seed(components, BACK))
    short = shorten(schedule, components)
    assert play(short, components).failure
    assert len(short.events) + len(short.faults) < len(schedule.events) / 2
