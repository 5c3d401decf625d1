"""Commands that run the parts: worker, serve, up."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from urllib.parse import urlsplit

import click

from catalog.errors import InvalidInput
from liveshelf.settings import Settings, load_settings


@click.command()
@click.option(
    "--standby", is_flag=True, help="Fill the collection of a new model while the alias serves the old one's."
)
@click.pass_obj
def worker(settings: Settings, *, standby: bool) -> None:
    """Read product events and keep the index up to date.

    Runs until SIGTERM. Run as many workers as the topics have partitions. The exit code is 0 after SIGTERM and 1 if
    the worker cannot continue.

    \b
    Example:
      liveshelf worker
    """
    from liveshelf.wiring.encoder import load_in_background

    with load_in_background(settings, nice=settings.worker_nice) as model:
        from liveshelf.wiring.worker import run_ingest  # beside the model, for this takes as long

        raise SystemExit(asyncio.run(run_ingest(settings, model, standby=standby)))


@click.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.")
@click.option("--insecure", is_flag=True, help="Allow an address that other machines can reach.")
def serve(*, host: str | None, port: int | None, insecure: bool) -> None:
    """Answer searches over HTTP, until SIGTERM: a page at /, the API described at /docs."""
    from liveshelf.wiring.search import run_search

    asyncio.run(run_search(load_settings(search_host=host, search_port=port), insecure=insecure))


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
