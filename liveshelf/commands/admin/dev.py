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
    """Run one embedded part, or set up this machine.

    \b
    Example:
      liveshelf dev broker --port 9092
    """


@dev.command()
@click.option("--port", type=click.IntRange(0, 65535), default=9092, show_default=True, help="Port for clients.")
@click.pass_obj
def broker(settings: Settings, *, port: int) -> None:
    """Run Apache Kafka for this machine, until Ctrl-C.

    \b
    Example:
      liveshelf dev broker --port 9192
    """
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
    """Run Qdrant's engine for this machine, until Ctrl-C.

    \b
    Example:
      liveshelf dev engine --port 6434
    """
    from embedded.data_folder import DataFolder
    from embedded.engine import serve as serve_engine

    click.echo(f"The engine's data is in {settings.data_dir}.", err=True)
    serve_engine(DataFolder(settings.data_dir).engine, port, optimize=optimize)


@dev.command()
@click.pass_obj
def setup(settings: Settings) -> None:
    """Fetch Kafka, draw the sample shop, prepare the model.

    After it, the demo needs no network and commands start faster. If interrupted, the next run continues the work.

    \b
    Example:
      liveshelf dev setup
    """
    from embedded.broker import fetch, prepare
    from liveshelf import sample
    from liveshelf.progress import bar
    from liveshelf.wiring.encoder import model_of

    click.echo("1/3 Fetching Apache Kafka and starting it once.", err=True)
    with bar("    jars", None) as done:
        jars = fetch(settings.cache_dir, progress=done)
        done(len(jars), len(jars))
    prepared = prepare(settings.cache_dir)
    classes = " with a class cache" if prepared else ""
    click.echo(f"    {len(jars)} jars{classes} in {jars[0].parent}.", err=True)
    click.echo("2/3 Drawing the sample catalogue.", err=True)
    with bar("    photos", sample.COUNT) as done:
        sample.draw(settings.sample_dir, progress=done)
        done(sample.COUNT)
    click.echo(f"    {sample.COUNT} products in {settings.sample_dir}.", err=True)
    click.echo("3/3 Preparing the model for this processor.", err=True)
    model = model_of(settings)
    click.echo(f"    {model.space.model}: {model.runs}.", err=True)


def _until_stopped(poll: Callable[[], int | None], what: str) -> None:
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    while not stopped.wait(0.2):
        if (status := poll()) is not None:
            raise FatalError(f"{what} ended with exit status {status}; its log is in its data folder")
