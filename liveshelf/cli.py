"""The command line: each command turns options into one call, and is imported only when it is asked for."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Any

import click

from catalog.errors import LiveshelfError
from embedded.errors import EmbeddedError
from liveshelf.settings import load_settings

# The module of liveshelf.commands that has each command.
COMMANDS = {
    "backfill": "feed",
    "bench": "bench",
    "broker": "parts",
    "check": "ask",
    "demo": "demo",
    "engine": "parts",
    "evaluate": "evaluate",
    "keys": "keys",
    "precision": "precision",
    "produce": "feed",
    "purge": "purge",
    "quarantine": "quarantine",
    "schema": "ask",
    "search": "ask",
    "serve": "parts",
    "setup": "parts",
    "train": "train",
    "up": "parts",
    "worker": "parts",
}


class Cli(click.Group):
    """A group whose commands end in one sentence, not a traceback, for whatever a user can cause."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"liveshelf.commands.{COMMANDS[cmd_name]}"), cmd_name)
        return command

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


if __name__ == "__main__":
    main()
