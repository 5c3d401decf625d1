"""The command that trains a model of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import click

_SHOWN_EVERY = 10


@click.command()
@click.argument("recipe")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("model"),
    show_default=True,
    help="Folder of the trained model.",
)
@click.option(
    "--cache", type=click.Path(path_type=Path), default=Path(".liveshelf/features"), show_default=True,
    help="Folder of the cached features of photos and texts.",
)  # fmt: skip
@click.option("--device", default="cpu", show_default=True, help="Device to train on: cpu or cuda.")
@click.option("--resume", is_flag=True, help="Continue from the last validation in --out.")
@click.option(
    "--map", "columns", multiple=True, metavar="FIELD=COLUMN",
    help="Column of the log with the query, item or weight, as data.columns in a recipe; repeatable.",
)  # fmt: skip
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a key of the recipe, such as optim.steps=500; repeatable.",
)
def train(
    recipe: str,
    *,
    out: Path,
    cache: Path,
    device: str,
    resume: bool,
    columns: tuple[str, ...],
    changes: tuple[str, ...],
) -> None:
    """Train a model on a catalogue and its query log.

    RECIPE is a TOML file, or one of the recipes small and smoke; smoke is the quickest.

    The recipe names catalogue and log, unless --set does. Serve the result with LIVESHELF_MODEL=checkpoint:DIR. For
    several processes: torchrun --nproc-per-node 2 -m liveshelf train RECIPE.

    \b
    Example:
      liveshelf train smoke --set data.catalogues=shop.jsonl --set data.logs=log.csv
    """
    from training.recipe import load
    from training.run import run

    chosen = load(recipe, changes)
    if columns:
        chosen = replace(chosen, data=replace(chosen.data, columns=columns))
    best = run(
        chosen, out, cache=cache, device=device, resume=resume, progress=_progress,
        display=lambda metrics: _shown(metrics, chosen.optim.steps),
    )  # fmt: skip
    if best:
        click.echo(
            f"best after step {best['step']:.0f}: {best['best']:.3f}, the mean of both recalls; "
            f"serve it as checkpoint:{out}"
        )


def _progress(what: str, done: int, of: int) -> None:
    if done == of or (done // 64) % 64 == 0:
        click.echo(f"features of {what}: {done} of {of}")


def _shown(metrics: Mapping[str, float] | str, steps: int) -> None:
    if isinstance(metrics, str):
        click.echo(metrics)
    elif "recall@10" in metrics or metrics["step"] % _SHOWN_EVERY == 0:
        rest = "  ".join(f"{name} {value:.4g}" for name, value in metrics.items() if name != "step")
        click.echo(f"step {metrics['step']:.0f} of {steps}  {rest}")
