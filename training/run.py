"""A training from a recipe to a served model, as `liveshelf train` and torchrun start it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from encoders.models.late_fusion import Backbones
from training.data import test_set as held_back
from training.data.corpus import corpus
from training.data.features import Progress
from training.data.sources import sources
from training.distributed import Distributed
from training.metrics_log import MetricsLog
from training.recipe import Recipe
from training.trainer import TrainingRun, train


def run(
    recipe: Recipe, out: Path, *, cache: Path, device: str, resume: bool, progress: Progress,
    shown: Callable[[Mapping[str, float] | str], None],
) -> dict[str, float]:  # fmt: skip
    """Train by the recipe into `out`; gives the best recall@10 and its step, in the first process. Raises Misuse.

    `progress` hears how far the features are; `shown` is given sentences about the data, then the figures of each step.
    Of several processes only the first is heard.
    """
    torch.manual_seed(recipe.seed)
    world = Distributed.join(torch.device(device))
    if world.rank:
        shown, progress = _silent, _silent
    where = torch.device(device, world.rank) if device == "cuda" else torch.device(device)
    said: list[str] = []
    read = sources(recipe.data, said)
    for sentence in said:
        shown(sentence)
    backbones = Backbones(where)
    # One process fills the cache, the others then find it filled.
    with world.first():
        found = corpus(read, recipe, backbones, cache=cache, told=progress)
    if world.rank == 0:
        held_back.write(read, out)
    figures = MetricsLog(out, shown, resume=resume) if world.rank == 0 else _silent
    best = train(found, recipe, backbones, TrainingRun(out, resume=resume, world=world), figures)
    return best if world.rank == 0 else {}


def _silent(*_: object) -> None:
    return None
