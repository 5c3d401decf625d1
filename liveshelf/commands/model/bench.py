"""The bench command: speed and freshness of every part on this machine."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Table

from liveshelf.commands import options
from liveshelf.settings import Settings

WIDTH = 120  # of a table that goes to a file or a pipe


@click.command()
@click.argument("words", nargs=-1, metavar="[PART]... [CATALOGUE]")
@click.option(
    "--items", type=click.IntRange(min=1), default=1000, show_default=True, help="Number of products to load."
)
@options.as_json
@click.pass_obj
def bench(settings: Settings, *, words: Sequence[str], items: int, as_json: bool) -> None:
    """Measure speed and freshness on this machine.

    PART is one of encode, ingest, mix, freshness, replay, patches and stages. Without a PART, the command measures
    all of them, which takes several minutes. The part encode measures the encoder alone and compares it with torch
    and with plain loops of other libraries.

    CATALOGUE is a file or folder as `liveshelf backfill` reads it. Default: the sample catalogue. The command starts
    its own broker, engine and workers with the model, device and threads of the settings. If
    LIVESHELF_KAFKA_BOOTSTRAP_SERVERS or LIVESHELF_QDRANT_URL is set, it uses that service, with topics and
    collections that it deletes at the end. If the machine has other work, rely on the ratios: they compare what ran
    in the same run.

    \b
    Example:
      liveshelf bench encode --items 100
      liveshelf bench freshness shop.parquet
    """
    from liveshelf import sample
    from liveshelf.bench.harness.figures import Figure
    from liveshelf.bench.parts.all import measure, parse_parts

    console, progress = Console(highlight=False), Console(stderr=True, highlight=False)
    parts, catalogue = parse_parts(words)
    path = catalogue or sample.draw(settings.sample_dir)
    measured: dict[str, list[Figure]] = {}
    for part in parts:
        progress.print(f"Measuring {part} with {items:,} products.", style="dim")
        measured[part] = measure(settings, path, part=part, items=items)
    if as_json:
        machine = {"processor": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
        as_dicts = {part: [asdict(f) | {"met": f.met} for f in figures] for part, figures in measured.items()}
        click.echo(json.dumps({"machine": machine, "items": items, "parts": as_dicts}, indent=2))
        return
    if not console.is_terminal:
        console.width = WIDTH
    table = Table("", "what", box=None)
    for heading in ("figure", "ratio", "goal"):
        table.add_column(heading, justify="right")
    for part, figures in measured.items():
        for n, f in enumerate(figures):
            figure, ratio, goal = f.cells
            verdict = "" if f.met is None else ", met" if f.met else ", missed"
            table.add_row("" if n else part, f.name, figure, ratio, goal + verdict)
    console.print(table)
