"""The demo command: every part, on the sample catalogue."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click
import httpx
from rich.console import Console
from rich.table import Table
from rich.text import Text

from catalog.errors import FatalError
from liveshelf.progress import bar
from liveshelf.settings import Settings
from liveshelf.wiring.kafka import kafka_of, topics_of

LOADED_WITHIN_S = 600.0
TO_SEARCH_FIRST = 64


@click.command()
@click.option("--once", is_flag=True, help="End after the last step. The exit code is 1 if a step failed.")
@click.pass_obj
def demo(settings: Settings, *, once: bool) -> None:
    """Show a sample shop: load it, search it, change it.

    The demo starts broker, engine, worker and search with a data folder of their own. They stay up until Ctrl-C, and
    nothing but the sample catalogue is left then.

    \b
    Example:
      liveshelf demo --once
    """
    from liveshelf import sample

    console = Console(highlight=False)
    folder = settings.sample_dir
    if not sample.is_drawn(folder):
        with bar("drawing the sample catalogue", sample.COUNT) as done:
            sample.draw(folder, progress=done)
    try:
        _run(settings, console, folder, once=once)
    except KeyboardInterrupt:
        console.print("\nStopped. Nothing is left of the demo but the sample catalogue.")


def _run(settings: Settings, console: Console, folder: Path, *, once: bool) -> None:
    from liveshelf.demo.tour import Tour
    from liveshelf.wiring.local import LocalShelf

    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="liveshelf-demo-") as temporary:
        data = Path(temporary)
        photos = data / "photos"
        photos.mkdir()
        changes = {
            "data_dir": data,
            "image_file_roots": (folder, photos),
            "log_level": "WARNING",
            "search_port": _free_port(settings),
        }
        console.print("Starting broker, engine, worker and search.")
        with LocalShelf(settings.model_copy(update=changes)) as local:
            console.print(f"They run after {time.monotonic() - started:.1f} s.\n")
            with httpx.Client(base_url=local.url, timeout=30) as search, _live(local.settings) as live:
                tour = Tour(search=search, live=live, folder=folder, photos=photos)
                first = _load(local.settings, folder, tour, search)
                console.print(f"The demo answered its first search {first - started:.1f} s after its start.\n")
                steps = (tour.by_words, tour.by_look, tour.by_image, tour.new_price, tour.new_photo, tour.deletion)
                passed = [_show(console, step()) for step in steps]
            local.group.check()
            console.print(f"The demo took {time.monotonic() - started:.0f} s.")
            if once:
                raise SystemExit(0 if all(passed) else 1)
            console.print(f"\nTry it at [bold]{local.url}[/bold] (Ctrl-C ends the demo).")
            local.group.wait()


def _load(settings: Settings, folder: Path, tour: Any, search: httpx.Client) -> float:
    """Back-fills the catalogue and waits until all of it is searchable; the time of the first answered search."""
    from streams.publish.catalogue_files import Catalogue, backfill
    from streams.publish.publisher import Publisher

    catalogue = Catalogue(folder / "products.jsonl", version=int(time.time() * 1000))
    first = None
    with Publisher(kafka_of(settings), topics_of(settings).backfill, tenant=settings.default_tenant) as publisher:
        sent = backfill(catalogue, publisher).sent
    with bar("searchable", sent) as done:
        end = time.monotonic() + LOADED_WITHIN_S
        while (count := search.get("/v1/status").json()["products"] or 0) < sent:
            done(count)
            if first is None and count >= TO_SEARCH_FIRST and tour.find(text="a mug")[0]:
                first = time.monotonic()
            if time.monotonic() > end:
                raise FatalError(f"after {LOADED_WITHIN_S:.0f} s only {count} of {sent} products are searchable")
            time.sleep(0.3)
        done(count)
    return first or time.monotonic()


@contextmanager
def _live(settings: Settings) -> Iterator[Any]:
    from streams.publish.publisher import Publisher, PublishPolicy

    policy = PublishPolicy(linger_ms=0)
    with Publisher(kafka_of(settings), settings.live_topic, tenant=settings.default_tenant, policy=policy) as publisher:
        yield publisher


def _show(console: Console, shown: Any) -> bool:
    mark = Text("ok ", "green") if shown.passed else Text("not as it should be ", "bold red")
    console.print(Text.assemble(mark, (shown.title, "bold"), ": ", shown.detail))
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 3))
    for hit in shown.hits:
        price = "" if hit["price"] is None else f"{hit['price']:.2f} {hit['currency']}"
        table.add_row(f"{hit['score']:.3f}", hit["id"], hit["title"], price)
    if shown.hits:
        console.print(table)
    console.print(f"   {shown.note}\n", style="dim")
    return bool(shown.passed)


def _free_port(settings: Settings) -> int:
    """The settings' port for the page if nothing has it, else any free one."""
    import socket

    with socket.socket() as probe, suppress(OSError):
        probe.bind((settings.search_host, settings.search_port))
        return settings.search_port
    return 0
