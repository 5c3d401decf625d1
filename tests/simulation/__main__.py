"""Plays many schedules (`python -m tests.simulation --count 10000`) or replays one (`... --seed 42`)."""

from __future__ import annotations

import time
from collections import Counter

import click

from tests.simulation.schedule import draw
from tests.simulation.shrink import failure_report
from tests.simulation.simulation import play


@click.command(help=__doc__)
@click.option("--seed", type=int, help="Replay only this seed, and print its schedule and trace.")
@click.option("--first", type=int, default=0, show_default=True, help="The first seed.")
@click.option("--count", type=int, default=1000, show_default=True, help="The number of schedules.")
def main(seed: int | None, first: int, count: int) -> None:
    seeds = range(first, first + count) if seed is None else range(seed, seed + 1)
    started, busy, failed, steps, seconds, seen = time.perf_counter(), time.process_time(), 0, 0, 0.0, Counter[str]()
    for number in seeds:
        schedule = draw(number)
        played = play(schedule)
        steps, seconds = steps + played.steps, seconds + played.seconds
        seen += played.seen
        if seed is not None:
            click.echo(f"{schedule}\n{played.trace}")
        if played.failure:
            failed += 1
            click.echo(failure_report(schedule))
    minutes, busy = (time.perf_counter() - started) / 60, (time.process_time() - busy) / 60
    click.echo(
        f"seeds {seeds[0]} to {seeds[-1]}: {len(seeds)} schedules, {failed} failed; {minutes:.2f} minutes, "
        f"{len(seeds) / minutes:,.0f} schedules a minute ({len(seeds) / busy:,.0f} a minute of CPU time); "
        f"{steps:,} steps, {seconds / 60:,.0f} simulated minutes"
    )
    click.echo(", ".join(f"{name}: {times:,}" for name, times in sorted(seen.items())))
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
