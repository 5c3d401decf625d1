"""The command line: each command turns options into one call. Models and brokers are imported only where needed."""

from __future__ import annotations

import logging
from typing import Any

import click

from catalog.errors import LiveshelfError
from embedded.errors import EmbeddedError
from liveshelf.commands import ask, feed, parts
from liveshelf.commands.demo import demo
from liveshelf.settings import load_settings


class Cli(click.Group):
    """A group whose commands end in one sentence, not a traceback, for whatever a user can cause."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (LiveshelfError, EmbeddedError) as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=Cli, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="liveshelf")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Keep a shop's search index live: product events in, searchable within a second.

    Every command reads its settings from LIVESHELF_ variables; `liveshelf check` says what is wrong with them.
    """
    ctx.obj = load_settings()
    logging.basicConfig(level=ctx.obj.log_level, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    for chatty in ("httpx", "httpcore", "kafka", "aiokafka", "faust", "mode"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))


for command in (
    demo,
    parts.up,
    parts.worker,
    parts.serve,
    parts.broker,
    parts.engine,
    parts.setup,
    feed.produce,
    feed.backfill,
    ask.search,
    ask.schema,
    ask.check,
):
    main.add_command(command)

if __name__ == "__main__":
    main()
