"""The precision command: what runs the model held against torch in float32."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evaluation.judgements import Judgements, of_titles, read_judgements
from evaluation.precision_gate import CatalogueVectors, GatePolicy, GateResult, gate
from liveshelf.settings import Settings

if TYPE_CHECKING:
    from liveshelf.evaluate.contestants import ProductTable

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
MOST = GatePolicy()


@click.command()
@click.argument("catalogue", type=click.Path(exists=True, path_type=Path))
@click.option("--judgements", type=FILE, help="What is right for which query, as `liveshelf evaluate` reads it; "
              "without: each title as a query for its products.")  # fmt: skip
@click.option("--queries", type=FILE, help="Words of the queries, where the judgements have only their ids.")
@click.option("--only", type=FILE, help="Look at these products alone: a file of ids, one a line.")
@click.option("--model", help="The model, if not the one of the settings.")
@click.option("--cosine", type=click.FloatRange(-1, 1), default=MOST.cosine, show_default=True,
              help="Cosine to float32 that 99 of 100 vectors must have.")  # fmt: skip
@click.option("--loss", type=click.FloatRange(0, 100), default=100 * MOST.loss, show_default=True,
              help="Points of recall@10 that may be lost.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
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
    """Whether the model, as it runs here, makes the vectors and finds the products that torch in float32 does.

    Encodes the products of CATALOGUE both ways: as LIVESHELF_RUNTIME and LIVESHELF_PRECISION say, and in torch. Then
    searches them exactly, with both ways' queries. Ends with exit code 1 where too much is lost.
    """
    from liveshelf.evaluate.contestants import Contestants, products_of

    products = products_of(catalogue, only)
    judged = _judged(products, judgements, queries)
    folder, name = catalogue if catalogue.is_dir() else catalogue.parent, model or settings.model
    exact = settings.model_copy(update={"runtime": "torch", "precision": "float32"})
    runs, made = [], []
    for way in (exact, settings):
        loaded = Contestants(way, products, folder).encoded(name)
        runs.append(loaded.model.runs)
        made.append(CatalogueVectors(loaded.vectors, "fused", loaded.queries))
    policy = GatePolicy(cosine=cosine, loss=loss / 100)
    found = gate(made[0], made[1], judged, policy)
    misses = list(found.misses())
    said = {"products": len(products.ids), "queries": len(judged.queries), "reference": runs[0], "served": runs[1]}
    click.echo(json.dumps(said | _figures(found), indent=2) if as_json else _table(said, found))
    if misses:
        raise click.ClickException("It does not pass: " + "; ".join(misses) + ".")
    click.echo("It passes.", err=as_json)


def _judged(products: ProductTable, judgements: Path | None, queries: Path | None) -> Judgements:
    if judgements is None:
        return of_titles(products.titles)
    judged = read_judgements(judgements, products.ids, texts=queries)
    for said in judged.skipped.sentences():
        click.echo(said, err=True)
    return judged


def _figures(found: GateResult) -> dict[str, Any]:
    return {
        "cosine": {name: asdict(near) for name, near in found.cosines.items()},
        "recall": {"reference": found.reference, "served": found.other, "mixed": found.mixed},
        "policy": asdict(found.policy),
        "misses": list(found.misses()),
        "passes": not any(found.misses()),
    }


def _table(said: dict[str, Any], found: GateResult) -> str:
    k, low = found.policy.places, f"p{100 * found.policy.quantile:g}"
    return "\n".join(
        [
            f"{said['products']} products, {said['queries']} queries",
            f"reference: {said['reference']}",
            f"served:    {said['served']}",
            "",
            f"{'cosine':10} {low:>8} {'p50':>8}",
            *(f"{name:10} {near.low:8.4f} {near.median:8.4f}" for name, near in found.cosines.items()),
            "",
            f"recall@{k}",
            f"{found.reference:8.4f}  the reference's items and queries",
            f"{found.other:8.4f}  served items and queries",
            f"{found.mixed:8.4f}  served items, the reference's queries",
        ]
    )
