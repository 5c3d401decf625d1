"""Options that several commands share."""

from __future__ import annotations

import difflib

import click


class Group(click.Group):
    """A group that answers a misspelt command with the nearest one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if near := difflib.get_close_matches(args[0], self.list_commands(ctx), n=1, cutoff=0.5):
                error.message += f" Did you mean {near[0]}?"
            raise


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output, and nothing else.")
