"""A training from a recipe to a served model, as `liveshelf train` and torchrun start it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from encoders.models.late_fusion import Backbones
from training.data import test_set
from training.data.corpus import build_corpus
from training.data.features import Progress
from training.data.sources import read_sources
from training.distributed import Distributed
from training.metrics_log import MetricsLog
from training.recipe import Recipe
from training.trainer import Trainer, TrainingRun


def run(
    recipe: Recipe, out: Path, *, cache: Path, device: str, resume: bool, progress: Progress,
    display: Callable[[Mapping[str, float] | str], None],
) -> dict[str, float]:  # fmt: skip
    """Train by the recipe into `out`. Returns the first process's best recall and its step. Raises InvalidInput.

    `progress` receives the progress of the features, `display` sentences about the data and then each step's metrics.
    Only the first of several processes calls them.
    """
    torch.manual_seed(recipe.seed)
    distributed = Distributed.join(torch.device(device))
    if distributed.rank:
        display, progress = _ignore, _ignore
    notes: list[str] = []
    sources = read_sources(recipe.data, notes)
    for sentence in notes:
        display(sentence)
    backbones = Backbones(torch.device(device, distributed.rank) if device == "cuda" else torch.device(device))
    # One process fills the cache, and the others then find it filled.
    with distributed.first_process_first():
        corpus = build_corpus(sources, recipe, backbones, cache=cache, on_progress=progress)
    if distributed.rank == 0:
        test_set.write(sources, out)
    on_metrics = MetricsLog(out, display, resume=resume) if distributed.rank == 0 else _ignore
    training = TrainingRun(out, resume=resume, distributed=distributed)
    best = Trainer(corpus, recipe, backbones, training, on_metrics).train()
    return best if distributed.rank == 0 else {}


def _ignore(*_: object) -> None:
    return None
