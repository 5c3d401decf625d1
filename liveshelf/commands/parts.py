"""Commands that run a part of the shelf: worker, serve, broker, engine, up, setup."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import click

from catalog.errors import FatalError, InvalidInput
from liveshelf.settings import Settings, load_settings

SAMPLE = "sample"


@click.command()
@click.pass_obj
def worker(settings: Settings) -> None:
    """Take product events off Kafka and keep the index up to date, until SIGTERM.

    Run as many as the topics have partitions. The exit code is 0 after SIGTERM, 1 where going on is no use.
    """
    from liveshelf.wiring.encoder import loading

    with loading(settings, nice=settings.worker_nice) as model:
        from liveshelf.wiring.worker import run_ingest  # beside the model, for this takes as long

        raise SystemExit(asyncio.run(run_ingest(settings, model)))


@click.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.")
@click.option("--insecure", is_flag=True, help="Allow an address that other machines can reach.")
def serve(*, host: str | None, port: int | None, insecure: bool) -> None:
    """Answer searches over HTTP, until SIGTERM: a page at /, the API described at /docs."""
    from liveshelf.wiring.search import run_search

    asyncio.run(run_search(load_settings(search_host=host, search_port=port), insecure=insecure))


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=9092, show_default=True, help="Port for clients.")
@click.pass_obj
def broker(settings: Settings, *, port: int) -> None:
    """Run Apache Kafka, one node for this machine alone, until Ctrl-C."""
    from embedded.broker import Broker
    from embedded.data_folder import DataFolder

    with Broker.start(DataFolder(settings.data_dir).broker, cache=settings.cache_dir, port=port) as running:
        click.echo(f"Kafka answers at {running.bootstrap}; its data is in {settings.data_dir}.", err=True)
        _until_stopped(running.poll, "The broker")


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=6334, show_default=True, help="Port of the gRPC API.")
@click.option("--optimize", is_flag=True, help="Build search graphs first; worth it above some 200,000 products.")
@click.pass_obj
def engine(settings: Settings, *, port: int, optimize: bool) -> None:
    """Run Qdrant's engine for this machine alone, until Ctrl-C."""
    from embedded.data_folder import DataFolder
    from embedded.engine import serve as serve_engine

    click.echo(f"The engine's data is in {settings.data_dir}.", err=True)
    serve_engine(DataFolder(settings.data_dir).engine, port, optimize=optimize)


@click.command()
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
    folder = sample_folder(settings)
    with bar("drawing the sample catalogue", None) as done:
        sample.draw(folder, progress=lambda number, _: done(number))
    model = model_of(settings)
    click.echo(f"{model.space.model}: {model.runs}.", err=True)


def sample_folder(settings: Settings) -> Path:
    """Where the sample catalogue is drawn."""
    return settings.data_dir.resolve() / SAMPLE


@click.command()
@click.pass_obj
def up(settings: Settings) -> None:
    """Run everything on this machine: broker, engine, worker and search, until Ctrl-C.

    They listen where the settings say, so the other commands find them. Data and logs are below LIVESHELF_DATA_DIR.
    """
    from liveshelf.wiring.local import LocalShelf

    with LocalShelf(
        settings, broker_port=_port(settings.kafka_bootstrap_servers), engine_port=_port(settings.qdrant_url)
    ) as local:
        click.echo(
            f"Kafka {local.settings.kafka_bootstrap_servers}, engine {local.settings.qdrant_url}, "
            f"data in {settings.data_dir}.",
            err=True,
        )
        click.echo(f"Search at {local.url}. Ctrl-C stops everything.", err=True)
        with suppress(KeyboardInterrupt):
            local.group.wait()


def _port(address: str) -> int:
    """The port of an address of this machine. Raises InvalidInput for another machine's."""
    parts = urlsplit(address if "//" in address else f"//{address}")
    if parts.hostname not in ("127.0.0.1", "localhost", "::1") or not parts.port:
        raise InvalidInput(f"{address} is not this machine: `liveshelf up` runs its own broker and engine on 127.0.0.1")
    return parts.port


def _until_stopped(poll: Callable[[], int | None], what: str) -> None:
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    while not stopped.wait(0.2):
        if (status := poll()) is not None:
            raise FatalError(f"{what} ended with exit status {status}; its log is in its data folder")
