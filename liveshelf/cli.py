"""The command line: each command turns options into one call, and is imported only when it runs."""

from __future__ import annotations

import difflib
import logging
from importlib import import_module
from typing import Any

import click

from catalog.errors import LiveshelfError
from embedded.errors import EmbeddedError
from liveshelf.extras import COMMAND_EXTRAS, missing_extra
from liveshelf.settings import load_settings

# The sections of the help; in each, a command and the module of liveshelf.commands that has it.
SECTIONS = {
    "Run": {"up": "run.services", "demo": "run.demo", "worker": "run.services", "serve": "run.services"},
    "Feed": {"backfill": "feed.publish", "produce": "feed.publish", "schema": "feed.schema"},
    "Look": {"search": "look.search", "check": "look.check", "quarantine": "look.quarantine"},
    "Model": {"train": "model.train", "evaluate": "model.evaluate", "bench": "model.bench"},
    "Admin": {
        "collections": "admin.collections",
        "keys": "admin.keys",
        "tombstones": "admin.tombstones",
        "dev": "admin.dev",
    },
}
COMMANDS = {name: module for commands in SECTIONS.values() for name, module in commands.items()}


class Cli(click.Group):
    """A group whose commands end in one sentence, not a traceback, for whatever a user can cause."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        try:
            module = import_module(f"liveshelf.commands.{COMMANDS[cmd_name]}")
        except ModuleNotFoundError as error:
            raise_missing_extra(cmd_name, error)
            raise
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], COMMANDS, n=1, cutoff=0.5)
            if near:
                error.message += f" Did you mean {near[0]}?"
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, COMMANDS))
        for section, commands in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl(
                    [
                        (name.ljust(width), self._short_help(ctx, name, limit=formatter.width - width - 6))
                        for name in commands
                    ]
                )

    def _short_help(self, ctx: click.Context, name: str, limit: int) -> str:
        try:
            command = self.get_command(ctx, name)
        except click.ClickException:
            return f"(needs liveshelf[{COMMAND_EXTRAS[name]}])"
        return command.get_short_help_str(limit) if command else ""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            raise_missing_extra(ctx.invoked_subcommand or "", error)
            raise
        except (LiveshelfError, EmbeddedError) as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            if error.filename is None:  # not a file or folder that the user named
                raise
            raise click.ClickException(
                f"{error.filename} cannot be used ({error.strerror}): name another file or folder, or correct this one."
            ) from error


def raise_missing_extra(command: str, error: ModuleNotFoundError) -> None:
    """Raises ClickException if an extra of liveshelf installs the module."""
    if sentence := missing_extra(command, error):
        raise click.ClickException(sentence) from error


@click.group(cls=Cli, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="liveshelf")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Keep a shop's search index up to date with its events.

    The worker reads product events from Kafka, and search shows them within a second.

    Every command reads its settings from LIVESHELF_ variables and from the TOML file that LIVESHELF_CONFIG names.
    `liveshelf check` finds what is wrong with them.

    \b
    Example:
      liveshelf up
    """
    ctx.obj = load_settings()
    logging.basicConfig(level=ctx.obj.log_level, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    for chatty in ("httpx", "httpcore", "kafka", "aiokafka", "faust", "mode"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))


if __name__ == "__main__":
    main()
