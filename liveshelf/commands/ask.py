"""Commands that ask: search, schema, check."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import httpx
from rich.console import Console
from rich.table import Table

from catalog import events
from catalog.errors import Misuse, Unavailable
from liveshelf.settings import Settings


@click.command()
@click.argument("text", required=False)
@click.option("--image", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A photo to search by.")
@click.option("--limit", type=click.IntRange(min=1), default=10, show_default=True, help="How many hits at most.")
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="FIELD=VALUE|JSON",
    help='What every hit must satisfy: brand=Arbour (repeatable), or JSON such as \'{"price": {"lte": 20}}\'.',
)
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
@click.option("--url", help="Where the search service is, if not where the settings say.")
@click.pass_obj
def search(
    settings: Settings,
    *,
    text: str | None,
    image: Path | None,
    limit: int,
    filters: tuple[str, ...],
    as_json: bool,
    url: str | None,
) -> None:
    """Search by TEXT, by a photo, or by both, through the running search service."""
    if not text and image is None:
        raise Misuse("an empty query finds nothing: give some text, or --image FILE")
    query: dict[str, Any] = {"text": text, "limit": limit, "filter": _filter(filters)}
    answer = _post(url or f"http://{settings.host}:{settings.port}", query, image)
    if as_json:
        click.echo(json.dumps(answer, ensure_ascii=False, indent=2))
    else:
        _table(answer)


@click.command()
def schema() -> None:
    """Print the JSON Schema of the product event."""
    click.echo(json.dumps(events.schema(), ensure_ascii=False, indent=2))


@click.command()
@click.pass_obj
def check(settings: Settings) -> None:
    """Say in plain words what of the settings, the broker, the index and the model is wrong."""
    from liveshelf.checks import findings

    wrong = 0
    for finding in findings(settings):
        click.echo(f"{'ok   ' if finding.ok else 'WRONG'}  {finding.part}: {finding.says}")
        wrong += not finding.ok
    if wrong:
        raise Misuse(f"{wrong} {'thing is' if wrong == 1 else 'things are'} wrong; see above")


def _filter(given: tuple[str, ...]) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    for one in given:
        if one.lstrip().startswith("{"):
            try:
                spec |= json.loads(one)
            except ValueError as error:
                raise Misuse(f"--filter {one}: not JSON ({error})") from None
        elif "=" in one:
            name, _, value = one.partition("=")
            spec.setdefault(name.strip(), []).append(_value(value.strip()))
        else:
            raise Misuse(f"--filter {one}: give FIELD=VALUE, or a JSON object")
    return spec


def _value(text: str) -> str | bool:
    return {"true": True, "false": False}.get(text, text)


def _post(url: str, query: dict[str, Any], image: Path | None) -> dict[str, Any]:
    try:
        if image is None:
            response = httpx.post(f"{url}/search", json=query, timeout=30)
        else:
            form = {name: v if isinstance(v, str) else json.dumps(v) for name, v in query.items() if v is not None}
            files = {"image": (image.name, image.read_bytes())}
            response = httpx.post(f"{url}/search", data=form, files=files, timeout=30)
    except httpx.HTTPError as error:
        raise Unavailable(
            f"no search service answers at {url} ({error}): start one with `liveshelf up` or `liveshelf serve`"
        ) from None
    answer: dict[str, Any] = response.json()
    if response.is_error:
        raise Misuse(answer["error"]["message"])
    return answer


def _table(answer: dict[str, Any]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading, justify in (("score", "right"), ("id", "left"), ("title", "left"), ("price", "right")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for hit in answer["hits"]:
        price = "" if hit["price"] is None else f"{hit['price']:.2f} {hit['currency'] or ''}".strip()
        table.add_row(f"{hit['score']:.3f}", hit["id"], hit["title"], price)
    console = Console()
    if answer["hits"]:
        console.print(table)
    else:
        console.print("Nothing found.")
