"""Commands for the tombstones of deleted products."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from liveshelf.commands import options
from liveshelf.commands.times import Span, shown
from liveshelf.settings import Settings, secret

if TYPE_CHECKING:
    from indexer import WaitingPatch

SHOWN = 20


@click.group(cls=options.Group)
def tombstones() -> None:
    """Manage the tombstones of deleted products.

    \b
    Example:
      liveshelf tombstones purge --older-than 30d --dry-run
    """


@tombstones.command()
@click.option("--older-than", type=Span(), required=True, help="Since the newest event of the product, as in 30d.")
@click.option("--waiting", is_flag=True, help="Remove patches that wait for a put, too.")
@click.option("--dry-run", is_flag=True, help="Count what would be removed, and remove nothing.")
@options.as_json
@click.pass_obj
def purge(settings: Settings, *, older_than: int, waiting: bool, dry_run: bool, as_json: bool) -> None:
    """Remove the tombstones of products deleted long ago.

    Choose a span longer than any event can be late, such as the retention of the topics. An older put that arrives
    after the purge brings the product back. Patches that wait for a put are listed, and stay without --waiting.

    \b
    Example:
      liveshelf tombstones purge --older-than 30d
    """
    before = round(time.time() * 1000) - older_than
    removed, patches = asyncio.run(_purge(settings, before, waiting=waiting, dry_run=dry_run))
    if as_json:
        waits = [{"tenant": patch.key.tenant, "id": patch.key.id, "event_time": patch.event_time} for patch in patches]
        counts = {
            "dry_run": dry_run,
            "tombstones": removed,
            "waiting_patches": len(patches),
            "waiting_removed": waiting,
        }
        click.echo(json.dumps(counts | {"waiting": waits}, ensure_ascii=False, indent=2))
        return
    would = "would be" if dry_run else "were"
    click.echo(f"{removed} tombstones {would} removed.", err=True)
    for patch in patches[:SHOWN]:
        click.echo(f"waiting for its put since {shown(patch.event_time)}: {patch.key.tenant}/{patch.key.id}", err=True)
    if patches:
        more = f"; the first {SHOWN} above" * (len(patches) > SHOWN)
        click.echo(f"{len(patches)} products have patches but no put{more}.", err=True)
    if waiting:
        click.echo(f"{len(patches)} waiting patches {would} removed.", err=True)


async def _purge(
    settings: Settings, before: int, *, waiting: bool, dry_run: bool
) -> tuple[int, Sequence[WaitingPatch]]:
    """How many tombstones went or would go, and the patches that wait for a put."""
    from indexer import TombstoneStore, connect

    timeout = settings.qdrant_timeout_seconds
    client = connect(settings.qdrant_url, api_key=secret(settings.qdrant_api_key), timeout_s=timeout)
    try:
        store = TombstoneStore(client, collection=settings.collection, timeout_s=timeout)
        count = store.count if dry_run else store.remove
        removed = await count(before)
        patches = [patch async for patch in store.waiting(before)]
        if waiting:
            await count(before, waiting=True)
        return removed, patches
    finally:
        await client.close()
