"""The evaluate command: models against judgements, as a table, JSON and a page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from catalog.errors import InvalidInput
from evaluation.comparison import ALL, Comparison, Depths, EvaluatedModel, compare
from evaluation.comparison import as_json as comparison_json
from evaluation.comparison import evaluate as rankings
from evaluation.intervals import ChancePolicy
from evaluation.judgements import NAMES, Judgements, read_judgements
from evaluation.page import choose, page, pictured
from evaluation.ranking import rank
from liveshelf.commands import options
from liveshelf.commands.model.precision import precision
from liveshelf.progress import bar
from liveshelf.settings import Settings

if TYPE_CHECKING:
    from liveshelf.evaluate.contestants import Contestants, ProductTable

BM25 = "bm25"

SHOWN_ROWS = 5
WIDE = 200  # columns of a file or a pipe, where nothing need be folded
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(cls=options.Group)
def evaluate() -> None:
    """Measure models by judged queries, or against float32.

    \b
    Example:
      liveshelf evaluate ranking judgements.csv --catalogue shop.parquet
    """


evaluate.add_command(precision)


@evaluate.command()
@click.argument("judgements", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--catalogue",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help="Products to search, as `liveshelf backfill` reads them.",
)
@click.option("--only", type=FILE, help="Search these products only: a file of ids, one a line.")
@click.option("--queries", type=FILE, help="File of the query texts, if the judgements have only query ids.")
@click.option("--model", help="Model to measure. Default: LIVESHELF_MODEL.")
@click.option("--against", multiple=True, metavar="MODEL", help="Model to compare it with; repeatable.")
@click.option(
    "--map", "columns", multiple=True, metavar="FIELD=COLUMN", help="Column of the query, item or grade; repeatable."
)
@click.option(
    "-k",
    "places",
    type=click.IntRange(1, 1000),
    default=10,
    show_default=True,
    help="Number of first hits that count, the k of nDCG@k.",
)
@click.option(
    "--deep",
    type=click.IntRange(1, 10000),
    default=100,
    show_default=True,
    help="Number of first hits of the deep recall.",
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("evaluated"), show_default=True,
              help="Folder of evaluation.json and evaluation.html.")  # fmt: skip
@click.option("--shown", type=click.IntRange(min=0), default=20, show_default=True,
              help="Number of best and of worst queries on the page.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the intervals and of the tests.")
@click.option("--live", is_flag=True, help="Also measure the recall of the live collection against exact search.")
@options.as_json
@click.pass_obj
def ranking(
    settings: Settings,
    *,
    judgements: Path,
    catalogue: Path,
    only: Path | None,
    queries: Path | None,
    model: str | None,
    against: tuple[str, ...],
    columns: tuple[str, ...],
    places: int,
    deep: int,
    out: Path,
    shown: int,
    seed: int,
    live: bool,
    as_json: bool,
) -> None:
    """Measure how well models rank judged products.

    JUDGEMENTS is a CSV, JSONL or parquet file, or TREC's qrels with --queries. The command prints a table and writes
    evaluation.json and evaluation.html to a folder.

    A MODEL is a name as in LIVESHELF_MODEL. title:MODEL and photo:MODEL encode only that part of a product, and bm25
    ranks by the words of titles.

    \b
    Example:
      liveshelf evaluate ranking clicks.csv --catalogue shop.parquet --against bm25
    """
    from liveshelf.evaluate.contestants import Contestants, live_recall, products_of

    products = products_of(catalogue, only)
    judged = read_judgements(judgements, products.ids, texts=queries, columns=_columns(columns))
    _tell(products, judged)
    contestants = Contestants(settings, products, catalogue if catalogue.is_dir() else catalogue.parent)
    names = tuple(dict.fromkeys((model or settings.model, *against)))
    depths = Depths(tuple(dict.fromkeys((places, deep))), ChancePolicy(seed=seed))
    comparison = compare(_evaluated(contestants, names, judged, depths), judged, items=len(products.ids), depths=depths)
    report = comparison_json(comparison)
    if not as_json:
        _print(comparison)
    if live:
        recall = live_recall(settings, contestants.model(names[0]), judged.queries, places)
        click.echo(f"The live collection finds {recall} of an exact search's first {places}.", err=as_json)
        report["live"] = {f"recall of exact@{places}": asdict(recall)}
    ends = choose(comparison, shown)
    pictures = pictured(products.ids, products.titles, contestants.pictures(ends.items(comparison)))
    _write(out, report, page(comparison, ends, pictures))
    if as_json:
        click.echo(json.dumps(report, indent=2))


def _write(out: Path, report: dict[str, Any], html: str) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "evaluation.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (out / "evaluation.html").write_text(html, encoding="utf-8")
    click.echo(f"More, and pictures: {out / 'evaluation.html'}", err=True)


def _evaluated(
    contestants: Contestants, names: Sequence[str], judged: Judgements, depths: Depths
) -> list[EvaluatedModel]:
    """Each model's rankings. What BM25 finds in as many places is what a lexical channel finds."""
    words = rank(contestants.scores(BM25), judged.queries, k=depths.first, left_out=judged.left_out)
    evaluated = []
    for name in names:
        scores = contestants.scores(name)
        with bar(f"queries by {name}", len(judged.queries)) as done:
            evaluated.append(rankings(name, scores, judged, depths=depths, lexical=words, on_done=done))
    return evaluated


def _tell(products: ProductTable, judged: Judgements) -> None:
    for row in products.bad[:SHOWN_ROWS]:
        click.echo(f"{row.file} row {row.row}: {row.reason}", err=True)
    if products.bad:
        click.echo(f"{len(products.bad)} rows of the catalogue are no products and are left out.", err=True)
    for sentence in judged.skipped.sentences():
        click.echo(sentence, err=True)
    click.echo(f"{len(judged.queries)} judged queries, {len(products.ids)} products.", err=True)


def _print(comparison: Comparison) -> None:
    console = Console()
    if not console.is_terminal:
        console.width = WIDE
    measures = list(comparison.models[0].values)
    _table(console, "all queries", ["model", *measures], [
        [model.name, *(str(comparison.estimates[model.name][ALL][name]) for name in measures)]
        for model in comparison.models
    ])  # fmt: skip
    main = next(name for name in measures if name.startswith("nDCG"))
    names = [model.name for model in comparison.models]
    _table(console, f"{main} by group", ["group", "queries", *names], [
        [group, str(size), *(str(comparison.estimates[name][group][main]) for name in names)]
        for group, size in comparison.sizes.items()
    ])  # fmt: skip
    if comparison.differences:
        _table(console, f"{names[0]} less the others, all queries", ["model", *measures], [
            [other, *(str(by_group[ALL][name]) for name in measures)]
            for other, by_group in comparison.differences.items()
        ])  # fmt: skip


def _table(console: Console, title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(box=None, title=title, title_justify="left", header_style="bold", pad_edge=False)
    for i, heading in enumerate(head):
        table.add_column(heading, justify="right" if i else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)


def _columns(given: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for pair in given:
        field, _, column = pair.partition("=")
        if not field or not column:
            raise InvalidInput(f"--map {pair}: give FIELD=COLUMN, with a FIELD of {', '.join(NAMES)}")
        pairs[field] = column
    return pairs
