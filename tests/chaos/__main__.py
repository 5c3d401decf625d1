"""Random schedules of faults on real processes: `python -m tests.chaos --count 200 --seed 1`.

The shop is built anew every so many schedules, and after one that failed. Exit code 1 if any failed; the logs of a
shop in which one did are kept.
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
from tests.chaos.looks import draw_looks
from tests.chaos.parts import Parts
from tests.chaos.schedule import Schedule, World, draw, draw_setting
from tests.chaos.stuck import Stuck
from tests.chaos.trial import Shop, Verdict
from tests.chaos.verdict import Looks

PER_SHOP = 20
MOST_BROKEN = 3  # shops in a row: going on would be no use


class Numbers(NamedTuple):
    """Which schedules of a seed: none begins once the clock says `end`, nor, with `stop`, after one that failed."""

    seed: int
    first: int
    last: int
    stop: bool
    end: float


@dataclass
class Tally:
    """What became of all schedules: verdicts, faults by kind, and what befell calls and photos.

    `broken` counts the shops in a row that could not even be built or closed.
    """

    broken: int = 0
    verdicts: list[Verdict] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    befell: Counter[str] = field(default_factory=Counter)

    @property
    def failed(self) -> int:
        return sum(bool(verdict.wrong) for verdict in self.verdicts)

    def add(self, schedule: Schedule, verdict: Verdict) -> None:
        self.verdicts.append(verdict)
        self.faults.update(fault.kind for fault in schedule.faults)


async def play(which: Numbers, looks: Looks) -> Tally:
    """All schedules, shop by shop."""
    tally, number = Tally(), which.first
    while number < which.last and tally.broken < MOST_BROKEN and not _enough(which, tally):
        folder = Path(tempfile.mkdtemp(prefix="liveshelf-chaos-"))
        setting = draw_setting(which.seed, number // PER_SHOP)
        parts = Parts(folder, load_settings().cache, setting, random.Random(f"{which.seed}/{number}/weather"))
        click.echo(f"-- {len(tally.verdicts)} played, {tally.failed} failed; {setting}, {folder}")
        numbers = range(number, min(which.last, (number // PER_SHOP + 1) * PER_SHOP))
        failure = ""
        try:
            await parts.start()
            number, failure = await _in_one_shop(Shop(parts, looks), which, numbers, tally)
            tally.broken = 0
        except (Stuck, EmbeddedError, LiveshelfError, OSError) as error:
            tally.broken += 1
            failure = f"the shop could not be built: {error}"
            tally.verdicts.append(Verdict(wrong=[failure]))
            click.echo(f"   FAILED: {failure}")
        finally:
            tally.befell.update(parts.befell)
            await parts.stop()
        if failure:
            (folder / "schedule.txt").write_text(failure)
            click.echo(f"   schedule and logs are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return tally


def _enough(which: Numbers, tally: Tally) -> bool:
    return time.monotonic() > which.end or (which.stop and tally.failed > 0)


async def _in_one_shop(shop: Shop, which: Numbers, numbers: range, tally: Tally) -> tuple[int, str]:
    """The number to go on with, and the first schedule that failed with what was wrong."""
    for number in numbers:
        if _enough(which, tally):
            return numbers.stop, ""
        schedule = draw(which.seed, number, World(round(time.time() * 1000), shop.parts.host.port))
        verdict = await shop.run(schedule)
        if number == numbers[-1] and not verdict.wrong:
            # Everything is well: every worker is to end as asked.
            verdict.wrong += await shop.parts.drain()
        tally.add(schedule, verdict)
        tell(schedule, verdict)
        if verdict.wrong:
            return number + 1, "\n".join([str(schedule), "", *verdict.wrong])
    return numbers.stop, ""


def tell(schedule: Schedule, verdict: Verdict) -> None:
    """One line for a schedule, and what was wrong with it."""
    said = "FAILED" if verdict.wrong else "ok"
    count = len(schedule.events)
    click.echo(f"{schedule.number:5d} {said:6s} {verdict.seconds:6.1f} s {count:4d} events: {schedule.told}")
    for line in verdict.exits:
        click.echo(f"      a worker ended by itself: {line}")
    for line in verdict.wrong[:20]:
        click.echo(f"      {line}")


@click.command(help=__doc__)
@click.option("--count", type=int, help="Schedules to play.  [default: 20, or as many as fit with --hours]")
@click.option("--hours", type=float, help="No schedule begins after so long.")
@click.option("--first", default=0, show_default=True, help="Number of the first.")
@click.option("--seed", default=1, show_default=True)
@click.option("--stop", is_flag=True, help="Stop at the first that fails.")
def main(count: int | None, hours: float | None, first: int, seed: int, stop: bool) -> None:
    began = time.monotonic()
    end = math.inf if hours is None else began + hours * 3600
    last = first + (count or (20 if hours is None else sys.maxsize - first))
    # Not asyncio.run: that waits for every thread, and one that hangs is what may have been found.
    loop = asyncio.new_event_loop()
    playing = loop.create_task(play(Numbers(seed, first, last, stop, end), draw_looks("builtin:small")))
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, playing.cancel, f"called off by {number.name}")
    try:
        tally = loop.run_until_complete(playing)
    except asyncio.CancelledError as called_off:
        click.echo(f"{called_off}; every process of the shop has ended")
        os._exit(130)
    hours = (time.monotonic() - began) / 3600
    played, exits = len(tally.verdicts), sum(len(verdict.exits) for verdict in tally.verdicts)
    click.echo(f"seed {seed}: {played} schedules from {first} in {hours:.2f} hours, {tally.failed} failed")
    click.echo(f"{sum(v.events for v in tally.verdicts)} events; {exits} times a worker ended by itself")
    click.echo(f"faults: {dict(tally.faults.most_common())}")
    click.echo(f"calls of the engine and photos asked for: {dict(tally.befell.most_common())}")
    sys.stdout.flush()
    os._exit(1 if tally.failed else 0)


if __name__ == "__main__":
    main()
