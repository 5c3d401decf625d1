"""The search command: one query through the running search service."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from rich.console import Console
from rich.table import Table

from catalog.errors import InvalidInput, Unavailable
from liveshelf.commands import options as output
from liveshelf.settings import Settings, secret

if TYPE_CHECKING:
    from liveshelf_client import SearchResult


@click.command()
@click.argument("text", required=False)
@click.option("--image", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A photo to search by.")
@click.option("--mode", type=click.Choice(["dense", "lexical", "hybrid"]), help="Search by vectors, words or both.")
@click.option("--limit", type=click.IntRange(min=1), default=10, show_default=True, help="Largest number of hits.")
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="FIELD=VALUE|JSON",
    help='Filter of the hits: brand=Arbour (repeatable), or JSON such as \'{"price": {"lte": 20}}\'.',
)
@output.as_json
@click.option("--url", help="Address of the search service. Default: from the settings.")
@click.pass_obj
def search(
    settings: Settings,
    *,
    text: str | None,
    image: Path | None,
    mode: Literal["dense", "lexical", "hybrid"] | None,
    limit: int,
    filters: tuple[str, ...],
    as_json: bool,
    url: str | None,
) -> None:
    """Search by TEXT, by a photo, or by both.

    The command asks the running search service.

    \b
    Example:
      liveshelf search "red hat"
      liveshelf search mug --filter brand=Arbour
      liveshelf search --image photo.jpg --limit 5
    """
    from liveshelf_client import Client, SearchOptions, ServiceError, UnavailableError

    if not text and image is None:
        raise InvalidInput("an empty query finds nothing: give some text, or --image FILE")
    options: SearchOptions = {"limit": limit, "filter": _filter(filters)}
    if mode is not None:
        options["mode"] = mode
    address = url or f"http://{_host(settings.search_host)}:{settings.search_port}"
    try:
        with Client(address, api_key=secret(settings.client_api_key)) as client:
            result = client.search(text, image=image, **options)
    except UnavailableError as error:
        hint = "" if error.status else ": start one with `liveshelf up` or `liveshelf serve`"
        raise Unavailable(f"{error}{hint}") from None
    except ServiceError as error:
        raise InvalidInput(str(error)) from None
    if as_json:
        click.echo(json.dumps(asdict(result), ensure_ascii=False, indent=2))
    else:
        _table(result)
    for reason in result.degraded:
        click.echo(f"The answer is incomplete: {reason}", err=True)


def _host(name: str) -> str:
    """The host of an address as a URL has it: IPv6 in brackets."""
    return f"[{name}]" if ":" in name else name


def _filter(given: tuple[str, ...]) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    for condition in given:
        if condition.lstrip().startswith("{"):
            try:
                spec |= json.loads(condition)
            except ValueError as error:
                raise InvalidInput(f"--filter {condition}: not JSON ({error})") from None
        elif "=" in condition:
            name, _, value = condition.partition("=")
            spec.setdefault(name.strip(), []).append(_value(value.strip()))
        else:
            raise InvalidInput(f"--filter {condition}: give FIELD=VALUE, or a JSON object")
    return spec


def _value(text: str) -> str | bool:
    return {"true": True, "false": False}.get(text, text)


def _table(result: SearchResult) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("score", "id", "title", "price", "age"):
        table.add_column(heading, justify="left" if heading in ("id", "title") else "right")
    for hit in result:
        price = "" if hit.price is None else f"{hit.price:.2f} {hit.currency or ''}".strip()
        table.add_row(f"{hit.score:.3f}", hit.id, hit.title, price, _age(hit.age_s))
    console = Console()
    if result.hits:
        console.print(table)
    else:
        console.print("Nothing found.")


def _age(seconds: float | None) -> str:
    """How long ago a product last changed, in its largest unit."""
    if seconds is None:
        return ""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s"
