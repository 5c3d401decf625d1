"""The command that trains a model of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import click

_SHOWN_EVERY = 10


@click.command()
@click.argument("recipe")
@click.option("--out", type=click.Path(path_type=Path), default=Path("model"), show_default=True, help="Its folder.")
@click.option(
    "--cache", type=click.Path(path_type=Path), default=Path(".liveshelf/features"), show_default=True,
    help="Where features of photos and texts are kept.",
)  # fmt: skip
@click.option("--device", default="cpu", show_default=True, help="cpu, or cuda.")
@click.option("--resume", is_flag=True, help="Go on from the last validation in --out.")
@click.option(
    "--map", "columns", multiple=True, metavar="FIELD=COLUMN",
    help="Which column of the log holds query, item or weight, as data.columns of a recipe says it; may be repeated.",
)  # fmt: skip
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="As in optim.steps=500; may be repeated.")
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
    """Train a model on a catalogue and its query log, by RECIPE: a .toml file, or small or smoke.

    The recipe names them, or --set does: --set data.catalogues=shop.jsonl --set data.logs=log.csv. What comes out is
    served as checkpoint:DIR. Several processes: torchrun --nproc-per-node 2 -m liveshelf train RECIPE.
    """
    from training.recipe import load
    from training.run import run

    found = load(recipe, changes)
    if columns:
        found = replace(found, data=replace(found.data, columns=columns))
    best = run(
        found, out, cache=cache, device=device, resume=resume, progress=_progress,
        display=lambda said: _shown(said, found.optim.steps),
    )  # fmt: skip
    if best:
        click.echo(
            f"best after step {best['step']:.0f}: {best['best']:.3f}, the mean of both recalls; "
            f"serve it as checkpoint:{out}"
        )


def _progress(what: str, done: int, of: int) -> None:
    if done == of or (done // 64) % 64 == 0:
        click.echo(f"features of {what}: {done} of {of}")


def _shown(said: Mapping[str, float] | str, steps: int) -> None:
    if isinstance(said, str):
        click.echo(said)
    elif "recall@10" in said or said["step"] % _SHOWN_EVERY == 0:
        rest = "  ".join(f"{name} {value:.4g}" for name, value in said.items() if name != "step")
        click.echo(f"step {said['step']:.0f} of {steps}  {rest}")
