"""Shortens a failing schedule: removes events and faults while it still fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tests.simulation.schedule import Event, Fault, Schedule
from tests.simulation.simulation import play
from tests.simulation.worker import PRODUCTION, Components

SALTS = 3  # a removal shifts the interleaving: try a few before giving up


def shorten(schedule: Schedule, components: Components = PRODUCTION, *, plays: int = 300) -> Schedule:
    """A shorter schedule that still fails, found with at most about `plays` runs."""
    size = max(1, _size(schedule) // 2)
    while plays > 0:
        smaller = None
        for start in range(0, _size(schedule), size):
            candidate = _without(schedule, start, start + size)
            for salt in range(schedule.salt, schedule.salt + SALTS):
                plays -= 1
                if play(replace(candidate, salt=salt), components).failure:
                    smaller = replace(candidate, salt=salt)
                    break
            if smaller or plays <= 0:
                break
        if smaller:
            schedule = smaller
            size = max(1, min(size, _size(schedule) // 2))
        elif size == 1:
            break
        else:
            size = max(1, size // 2)
    return schedule


def failure_report(schedule: Schedule, components: Components = PRODUCTION) -> str:
    """A report of a failing schedule, with the command that replays it."""
    short = shorten(schedule, components)
    return (
        f"{play(schedule, components).failure}\n"
        f"Replay: python -m tests.simulation --seed {schedule.seed}\n"
        f"Shortened from {_size(schedule)} events and faults to {_size(short)}: {play(short, components).failure}\n"
        f"{short}"
    )


def _size(schedule: Schedule) -> int:
    return len(schedule.events) + len(schedule.faults)


def _without(schedule: Schedule, start: int, stop: int) -> Schedule:
    everything: Sequence[Any] = (*schedule.events, *schedule.faults)
    remaining = (*everything[:start], *everything[stop:])
    return replace(
        schedule,
        events=tuple(item for item in remaining if isinstance(item, Event)),
        faults=tuple(item for item in remaining if isinstance(item, Fault)),
    )
