"""The precision command: the served model compared with torch in float32."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evaluation.judgements import Judgements, of_titles, read_judgements
from evaluation.precision_gate import CatalogueVectors, GatePolicy, GateResult, gate
from liveshelf.commands import options
from liveshelf.settings import Settings

if TYPE_CHECKING:
    from liveshelf.evaluate.contestants import ProductTable

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
MOST = GatePolicy()


@click.command()
@click.argument("catalogue", type=click.Path(exists=True, path_type=Path))
@click.option("--judgements", type=FILE, help="Judged queries, as `liveshelf evaluate ranking` reads them. "
              "Default: each title is a query for its products.")  # fmt: skip
@click.option("--queries", type=FILE, help="File of the query texts, if the judgements have only query ids.")
@click.option("--only", type=FILE, help="Use these products only: a file of ids, one a line.")
@click.option("--model", help="Model to compare. Default: LIVESHELF_MODEL.")
@click.option("--cosine", type=click.FloatRange(-1, 1), default=MOST.cosine, show_default=True,
              help="Smallest allowed cosine to float32, for 99 of 100 vectors.")  # fmt: skip
@click.option("--loss", type=click.FloatRange(0, 100), default=100 * MOST.loss, show_default=True,
              help="Largest allowed loss of recall@10, in percentage points.")  # fmt: skip
@options.as_json
@click.pass_obj
def precision(
    settings: Settings,
    *,
    catalogue: Path,
    judgements: Path | None,
    queries: Path | None,
    only: Path | None,
    model: str | None,
    cosine: float,
    loss: float,
    as_json: bool,
) -> None:
    """Compare the served model with torch in float32.

    The command encodes the products of CATALOGUE twice: as LIVESHELF_RUNTIME and LIVESHELF_PRECISION say, and in
    torch. Then it compares the vectors and the results of exact searches. The exit code is 1 if the loss is too
    large.

    \b
    Example:
      liveshelf evaluate precision shop.parquet
    """
    from liveshelf.evaluate.contestants import Contestants, products_of

    products = products_of(catalogue, only)
    judged = _judged(products, judgements, queries)
    folder, name = catalogue if catalogue.is_dir() else catalogue.parent, model or settings.model
    exact = settings.model_copy(update={"runtime": "torch", "precision": "float32"})
    runs, vectors = [], []
    for way in (exact, settings):
        loaded = Contestants(way, products, folder).encoded(name)
        runs.append(loaded.model.runs)
        vectors.append(CatalogueVectors(loaded.vectors, "fused", loaded.queries))
    policy = GatePolicy(cosine=cosine, loss=loss / 100)
    result = gate(vectors[0], vectors[1], judged, policy)
    misses = list(result.misses())
    summary = {"products": len(products.ids), "queries": len(judged.queries), "reference": runs[0], "served": runs[1]}
    click.echo(json.dumps(summary | _figures(result), indent=2) if as_json else _table(summary, result))
    if misses:
        raise click.ClickException("It does not pass: " + "; ".join(misses) + ".")
    click.echo("It passes.", err=as_json)


def _judged(products: ProductTable, judgements: Path | None, queries: Path | None) -> Judgements:
    if judgements is None:
        return of_titles(products.titles)
    judged = read_judgements(judgements, products.ids, texts=queries)
    for sentence in judged.skipped.sentences():
        click.echo(sentence, err=True)
    return judged


def _figures(result: GateResult) -> dict[str, Any]:
    return {
        "cosine": {name: asdict(near) for name, near in result.cosines.items()},
        "recall": {"reference": result.reference, "served": result.other, "mixed": result.mixed},
        "policy": asdict(result.policy),
        "misses": list(result.misses()),
        "passes": not any(result.misses()),
    }


def _table(summary: dict[str, Any], result: GateResult) -> str:
    k, low = result.policy.places, f"p{100 * result.policy.quantile:g}"
    return "\n".join(
        [
            f"{summary['products']} products, {summary['queries']} queries",
            f"reference: {summary['reference']}",
            f"served:    {summary['served']}",
            "",
            f"{'cosine':10} {low:>8} {'p50':>8}",
            *(f"{name:10} {near.low:8.4f} {near.median:8.4f}" for name, near in result.cosines.items()),
            "",
            f"recall@{k}",
            f"{result.reference:8.4f}  the reference's items and queries",
            f"{result.other:8.4f}  served items and queries",
            f"{result.mixed:8.4f}  served items, the reference's queries",
        ]
    )
