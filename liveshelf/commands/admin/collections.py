"""Commands for the collections of the index and the alias that serves one of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table

from catalog.errors import InvalidInput
from liveshelf.commands import options
from liveshelf.settings import Settings, secret

T = TypeVar("T")


@click.group(cls=options.Group)
def collections() -> None:
    """List collections, and choose the one that serves.

    Each model has a collection of its own, and LIVESHELF_COLLECTION is the alias of the one that serves.

    \b
    Example:
      liveshelf collections list
    """


@collections.command("list")
@options.as_json
@click.pass_obj
def list_(settings: Settings, *, as_json: bool) -> None:
    """Show each collection, its products and which one serves.

    \b
    Example:
      liveshelf collections list
    """
    from indexer import status

    statuses = _with_client(settings, lambda client: status(client, settings.collection))
    if as_json:
        click.echo(json.dumps([asdict(status_) for status_ in statuses], indent=2))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("collection", "space", "products", "serves"):
        table.add_column(heading, justify="right" if heading == "products" else "left", overflow="fold")
    for status_ in statuses:
        table.add_row(
            status_.collection, status_.space, f"{status_.products:,}", settings.collection if status_.served else ""
        )
    if statuses:
        Console().print(table)
    else:
        click.echo("There is no collection yet: the first worker makes one.", err=True)


@collections.command()
@click.argument("collection", required=False)
@click.option("--fewer", is_flag=True, help="Allow a collection with fewer products than the one that serves.")
@click.pass_obj
def promote(settings: Settings, *, collection: str | None, fewer: bool) -> None:
    """Let COLLECTION serve from now on.

    Without COLLECTION, the one of the model that LIVESHELF_MODEL names. The alias moves in one step: a query sees the
    old collection or the new one, never neither.

    \b
    Example:
      liveshelf collections promote
    """
    from indexer import collection_name
    from liveshelf.wiring.encoder import collection_policy_of, model_of

    name = collection or collection_name(collection_policy_of(settings), model_of(settings).space)
    before = _with_client(settings, lambda client: _promote(client, settings.collection, name, fewer=fewer))
    click.echo(f"{settings.collection} serves {name}" + (f"; it served {before} before." if before else "."), err=True)


async def _promote(client: Any, alias: str, name: str, *, fewer: bool) -> str | None:
    """The collection that served before."""
    from indexer import promote, status

    statuses = {status_.collection: status_ for status_ in await status(client, alias)}
    if name not in statuses:
        raise InvalidInput(
            f"there is no collection {name!r} of {alias!r}: `liveshelf collections list` shows them, and "
            "`liveshelf worker --standby` makes and fills the one of a new model"
        )
    served = next((status_ for status_ in statuses.values() if status_.served), None)
    if served is not None and statuses[name].products < served.products and not fewer:
        raise InvalidInput(
            f"{name} holds {statuses[name].products:,} products and {served.collection}, which serves, "
            f"{served.products:,}: fill it first by a back-fill, or add --fewer"
        )
    await promote(client, name, alias)
    return served.collection if served is not None and served.collection != name else None


def _with_client(settings: Settings, call: Callable[[Any], Awaitable[T]]) -> T:
    from indexer import connect

    async def run() -> T:
        key, timeout = secret(settings.qdrant_api_key), settings.qdrant_timeout_seconds
        client = connect(settings.qdrant_url, api_key=key, timeout_s=timeout)
        try:
            return await call(client)
        finally:
            await client.close()

    return asyncio.run(run())
