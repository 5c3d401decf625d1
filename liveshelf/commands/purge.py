"""The command that forgets deleted products."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import click

from liveshelf.commands.times import Span, shown
from liveshelf.settings import Settings, secret

if TYPE_CHECKING:
    from indexer import TombstoneStore

SHOWN = 20


@click.command()
@click.option("--older-than", type=Span(), required=True, help="Since the newest event of the product, as in 30d.")
@click.option("--waiting", is_flag=True, help="Remove patches that wait for a put, too.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, remove nothing.")
@click.pass_obj
def purge(settings: Settings, *, older_than: int, waiting: bool, dry_run: bool) -> None:
    """Forget deleted products: remove the points that remember at which version they were deleted.

    Choose a span longer than any event can be late, such as the retention of the topics: an older put that comes after
    that brings the product back. Patches that wait for a put are listed, and stay without --waiting.
    """
    asyncio.run(_purge(settings, round(time.time() * 1000) - older_than, waiting=waiting, dry_run=dry_run))


async def _purge(settings: Settings, before: int, *, waiting: bool, dry_run: bool) -> None:
    from indexer import TombstoneStore, connect

    timeout = settings.qdrant_timeout_seconds
    client = connect(settings.qdrant_url, api_key=secret(settings.qdrant_api_key), timeout_s=timeout)
    try:
        tombstones = TombstoneStore(client, collection=settings.collection, timeout_s=timeout)
        count = tombstones.count if dry_run else tombstones.remove
        would = "would be" if dry_run else "were"
        click.echo(f"{await count(before)} deleted products {would} forgotten.", err=True)
        await _list_waiting(tombstones, before)
        if waiting:
            click.echo(f"{await count(before, waiting=True)} waiting patches {would} removed.", err=True)
    finally:
        await client.close()


async def _list_waiting(tombstones: TombstoneStore, before: int) -> None:
    number = 0
    async for one in tombstones.waiting(before):
        number += 1
        if number <= SHOWN:
            click.echo(f"waiting for its put since {shown(one.event_time)}: {one.key.tenant}/{one.key.id}", err=True)
    if number:
        click.echo(
            f"{number} products have patches but no put{f'; the first {SHOWN} above' * (number > SHOWN)}.", err=True
        )
