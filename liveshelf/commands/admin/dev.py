"""Commands for development: the embedded broker, the embedded engine, the set-up."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

import click

from catalog.errors import FatalError
from liveshelf.settings import Settings


@click.group()
def dev() -> None:
    """Run one embedded part, or set up what all of them need.

    \b
    Example:
      liveshelf dev broker --port 9092
    """


@dev.command()
@click.option("--port", type=click.IntRange(0, 65535), default=9092, show_default=True, help="Port for clients.")
@click.pass_obj
def broker(settings: Settings, *, port: int) -> None:
    """Run Apache Kafka, one node for this machine alone, until Ctrl-C."""
    from embedded.broker import Broker
    from embedded.data_folder import DataFolder

    with Broker.start(DataFolder(settings.data_dir).broker, cache=settings.cache_dir, port=port) as running:
        click.echo(f"Kafka answers at {running.bootstrap}; its data is in {settings.data_dir}.", err=True)
        _until_stopped(running.poll, "The broker")


@dev.command()
@click.option("--port", type=click.IntRange(0, 65535), default=6334, show_default=True, help="Port of the gRPC API.")
@click.option("--optimize", is_flag=True, help="Build search graphs first; worth it above some 200,000 products.")
@click.pass_obj
def engine(settings: Settings, *, port: int, optimize: bool) -> None:
    """Run Qdrant's engine for this machine alone, until Ctrl-C."""
    from embedded.data_folder import DataFolder
    from embedded.engine import serve as serve_engine

    click.echo(f"The engine's data is in {settings.data_dir}.", err=True)
    serve_engine(DataFolder(settings.data_dir).engine, port, optimize=optimize)


@dev.command()
@click.pass_obj
def setup(settings: Settings) -> None:
    """Fetch the embedded broker's program, draw the sample catalogue and prepare the model for this processor.

    The demo then needs no network, and what starts later finds the prepared model.
    """
    from embedded.broker import fetch, prepare
    from liveshelf import sample
    from liveshelf.progress import bar
    from liveshelf.wiring.encoder import model_of

    jars = fetch(settings.cache_dir)
    kept = " and its classes, loaded," if prepare(settings.cache_dir) else ""
    click.echo(f"Apache Kafka: {len(jars)} jars{kept} in {jars[0].parent}.", err=True)
    folder = settings.sample_dir
    with bar("drawing the sample catalogue", None) as done:
        sample.draw(folder, progress=lambda number, _: done(number))
    model = model_of(settings)
    click.echo(f"{model.space.model}: {model.runs}.", err=True)


def _until_stopped(poll: Callable[[], int | None], what: str) -> None:
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    while not stopped.wait(0.2):
        if (status := poll()) is not None:
            raise FatalError(f"{what} ended with exit status {status}; its log is in its data folder")
