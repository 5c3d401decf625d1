"""Random schedules of faults on real processes: `python -m tests.chaos --count 200 --seed 1`.

A new shop is started after every 20 schedules, and after a failed one. The exit code is 1 if any failed; the logs of a
shop with a failed schedule are kept.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import click

from catalog.errors import LiveshelfError
from embedded.errors import EmbeddedError
from liveshelf.settings import load_settings
from tests.chaos.errors import NotInTime
from tests.chaos.expected_vectors import encode_expected
from tests.chaos.processes import Processes
from tests.chaos.schedule import Schedule, World, draw, draw_setting
from tests.chaos.trial import Shop, Verdict
from tests.chaos.verdict import ExpectedVectors

SCHEDULES_PER_SHOP = 20
MAX_BROKEN = 3  # shops in a row that could not be started


class Range(NamedTuple):
    """Schedules of a seed. None begins after the time `end`, nor, with `stop`, after a failed one."""

    seed: int
    first: int
    last: int
    stop: bool
    end: float


@dataclass
class Tally:
    """Results of all schedules: verdicts, faults by kind, and their effects on calls and photos.

    `broken` counts the shops in a row that could not be started or stopped.
    """

    broken: int = 0
    verdicts: list[Verdict] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    effects: Counter[str] = field(default_factory=Counter)

    @property
    def failed(self) -> int:
        return sum(bool(verdict.wrong) for verdict in self.verdicts)

    def add(self, schedule: Schedule, verdict: Verdict) -> None:
        self.verdicts.append(verdict)
        self.faults.update(fault.kind for fault in schedule.faults)


async def play(which: Range, vectors: ExpectedVectors) -> Tally:
    """Plays all schedules, shop by shop."""
    tally, number = Tally(), which.first
    while number < which.last and tally.broken < MAX_BROKEN and not _finished(which, tally):
        folder = Path(tempfile.mkdtemp(prefix="liveshelf-chaos-"))
        setting = draw_setting(which.seed, number // SCHEDULES_PER_SHOP)
        processes = Processes(
            folder, load_settings().cache_dir, setting, random.Random(f"{which.seed}/{number}/weather")
        )
        click.echo(f"-- {len(tally.verdicts)} played, {tally.failed} failed; {setting}, {folder}")
        numbers = range(number, min(which.last, (number // SCHEDULES_PER_SHOP + 1) * SCHEDULES_PER_SHOP))
        failure = ""
        try:
            await processes.start()
            number, failure = await _play_in_shop(Shop(processes, vectors), which, numbers, tally)
            tally.broken = 0
        except (NotInTime, EmbeddedError, LiveshelfError, OSError) as error:
            tally.broken += 1
            failure = f"the shop could not be started: {error}"
            tally.verdicts.append(Verdict(wrong=[failure]))
            click.echo(f"   FAILED: {failure}")
        finally:
            tally.effects.update(processes.effects)
            await processes.stop()
        if failure:
            (folder / "schedule.txt").write_text(failure)
            click.echo(f"   schedule and logs are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return tally


def _finished(which: Range, tally: Tally) -> bool:
    return time.monotonic() > which.end or (which.stop and tally.failed > 0)


async def _play_in_shop(shop: Shop, which: Range, numbers: range, tally: Tally) -> tuple[int, str]:
    """Returns the next number, and the first failed schedule with its errors."""
    for number in numbers:
        if _finished(which, tally):
            return numbers.stop, ""
        schedule = draw(which.seed, number, World(round(time.time() * 1000), shop.processes.host.port))
        verdict = await shop.run(schedule)
        if number == numbers[-1] and not verdict.wrong:
            # All is healthy, so every worker must end in order.
            verdict.wrong += await shop.processes.drain()
        tally.add(schedule, verdict)
        report(schedule, verdict)
        if verdict.wrong:
            return number + 1, "\n".join([str(schedule), "", *verdict.wrong])
    return numbers.stop, ""


def report(schedule: Schedule, verdict: Verdict) -> None:
    """Prints one line for a schedule, and its errors."""
    result = "FAILED" if verdict.wrong else "ok"
    count = len(schedule.events)
    click.echo(f"{schedule.number:5d} {result:6s} {verdict.seconds:6.1f} s {count:4d} events: {schedule.summary}")
    for line in verdict.exits:
        click.echo(f"      a worker ended by itself: {line}")
    for line in verdict.wrong[:20]:
        click.echo(f"      {line}")


@click.command(help=__doc__)
@click.option("--count", type=int, help="Schedules to play.  [default: 20, or as many as fit with --hours]")
@click.option("--hours", type=float, help="No schedule begins after this time.")
@click.option("--first", default=0, show_default=True, help="Number of the first.")
@click.option("--seed", default=1, show_default=True)
@click.option("--stop", is_flag=True, help="Stop at the first failed schedule.")
def main(count: int | None, hours: float | None, first: int, seed: int, stop: bool) -> None:
    started = time.monotonic()
    end = math.inf if hours is None else started + hours * 3600
    last = first + (count or (20 if hours is None else sys.maxsize - first))
    # Not asyncio.run, which waits for every thread: a thread that hangs may be the error that was found.
    loop = asyncio.new_event_loop()
    playing = loop.create_task(play(Range(seed, first, last, stop, end), encode_expected("builtin:small")))
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, playing.cancel, f"cancelled by {number.name}")
    try:
        tally = loop.run_until_complete(playing)
    except asyncio.CancelledError as cancelled:
        click.echo(f"{cancelled}; every process of the shop has ended")
        os._exit(130)
    hours = (time.monotonic() - started) / 3600
    played, exits = len(tally.verdicts), sum(len(verdict.exits) for verdict in tally.verdicts)
    click.echo(f"seed {seed}: {played} schedules from {first} in {hours:.2f} hours, {tally.failed} failed")
    click.echo(f"{sum(v.events for v in tally.verdicts)} events; {exits} times a worker ended by itself")
    click.echo(f"faults: {dict(tally.faults.most_common())}")
    click.echo(f"effects on calls of the engine, and requested photos: {dict(tally.effects.most_common())}")
    sys.stdout.flush()
    os._exit(1 if tally.failed else 0)


if __name__ == "__main__":
    main()
