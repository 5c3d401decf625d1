"""The schema command."""

from __future__ import annotations

import json

import click

from catalog.events import parser


@click.command()
def schema() -> None:
    """Print the JSON Schema of the product event.

    \b
    Example:
      liveshelf schema > event.schema.json
    """
    click.echo(json.dumps(parser.schema(), ensure_ascii=False, indent=2))
