"""Commands that run the parts: worker, serve, up."""

from __future__ import annotations

import asyncio
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
    from encoders.models.load import split_name
    from liveshelf.wiring.encoder import load_in_background
    from liveshelf.wiring.ready_file import check_ready_file

    split_name(settings.model)  # before the broker, which takes seconds
    check_ready_file(settings)
    with load_in_background(settings, nice=settings.worker_nice) as model:
        from liveshelf.wiring.worker import run_ingest  # beside the model, for this takes as long

        raise SystemExit(asyncio.run(run_ingest(settings, model, standby=standby)))


@click.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.")
@click.option("--insecure", is_flag=True, help="Allow an address that other machines can reach.")
def serve(*, host: str | None, port: int | None, insecure: bool) -> None:
    """Answer searches over HTTP until SIGTERM.

    / is the search page, and /docs describes the API.

    \b
    Example:
      liveshelf serve --port 8080
    """
    from liveshelf.wiring.ready_file import check_ready_file
    from liveshelf.wiring.search import run_search

    settings = load_settings(search_host=host, search_port=port)
    check_ready_file(settings)
    asyncio.run(run_search(settings, insecure=insecure))


@click.command()
@click.pass_obj
def up(settings: Settings) -> None:
    """Run broker, engine, worker and search on this machine.

    Ctrl-C stops all of them and keeps their data. The ports come from LIVESHELF_KAFKA_BOOTSTRAP_SERVERS,
    LIVESHELF_QDRANT_URL and LIVESHELF_SEARCH_PORT. Data and logs are in LIVESHELF_DATA_DIR.

    \b
    Example:
      liveshelf up
    """
    from liveshelf.wiring.local import LocalShelf

    broker_port, engine_port = _port(settings.kafka_bootstrap_servers), _port(settings.qdrant_url)
    try:
        with LocalShelf(settings, broker_port=broker_port, engine_port=engine_port) as local:
            click.echo(
                f"Kafka {local.settings.kafka_bootstrap_servers}, engine {local.settings.qdrant_url}, "
                f"data in {settings.data_dir}.",
                err=True,
            )
            click.echo(f"Search at {local.url}. Ctrl-C stops everything.", err=True)
            local.group.wait()
    except (KeyboardInterrupt, SystemExit) as end:
        click.echo(f"Stopped. The data is kept in {settings.data_dir}.", err=True)
        if isinstance(end, SystemExit):
            raise


def _port(address: str) -> int:
    """The port of an address of this machine. Raises InvalidInput for another machine's."""
    parts = urlsplit(address if "//" in address else f"//{address}")
    if parts.hostname not in ("127.0.0.1", "localhost", "::1") or not parts.port:
        raise InvalidInput(f"{address} is not this machine: `liveshelf up` runs its own broker and engine on 127.0.0.1")
    return parts.port
