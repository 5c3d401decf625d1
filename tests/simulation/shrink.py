"""A failing schedule made short enough to read: events and faults are taken out while it still fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tests.simulation.schedule import Event, Fault, Schedule
from tests.simulation.simulation import play
from tests.simulation.worker import PRODUCTION, Parts

SALTS = 3  # taking something out shifts the interleaving: try a few before giving in


def shorten(schedule: Schedule, parts: Parts = PRODUCTION, *, plays: int = 300) -> Schedule:
    """A part of a failing schedule that fails too; `plays` bounds the effort."""
    size = max(1, _size(schedule) // 2)
    while plays > 0:
        smaller = None
        for start in range(0, _size(schedule), size):
            candidate = _without(schedule, start, start + size)
            for salt in range(schedule.salt, schedule.salt + SALTS):
                plays -= 1
                if play(replace(candidate, salt=salt), parts).failure:
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


def shortened(schedule: Schedule, parts: Parts = PRODUCTION) -> str:
    """What a person needs to know of a failing schedule."""
    short = shorten(schedule, parts)
    return (
        f"{play(schedule, parts).failure}\n"
        f"Again, whole: python -m tests.simulation --seed {schedule.seed}\n"
        f"Shortened from {_size(schedule)} events and faults to {_size(short)}: {play(short, parts).failure}\n{short}"
    )


def _size(schedule: Schedule) -> int:
    return len(schedule.events) + len(schedule.faults)


def _without(schedule: Schedule, start: int, stop: int) -> Schedule:
    everything: Sequence[Any] = (*schedule.events, *schedule.faults)
    kept = (*everything[:start], *everything[stop:])
    return replace(
        schedule,
        events=tuple(one for one in kept if isinstance(one, Event)),
        faults=tuple(one for one in kept if isinstance(one, Fault)),
    )
