"""The training: one loop. What is drawn, dropped out and hidden in a step depends on the seed and the step alone."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from encoders.models.late_fusion import Backbones
from encoders.models.load import CHECKPOINT, LATE
from encoders.towers import late_fusion as fusion
from encoders.towers.single_stream import SingleStream, TowerOutput, save
from training import late_fusion
from training.checkpoint import TrainingState
from training.data.batch import TrainBatch
from training.data.corpus import Corpus
from training.distributed import Distributed
from training.grad_cache import backward
from training.initialize import initialize
from training.late_fusion import LateFusionTowers
from training.recipe import Recipe
from training.sampler import BatchSampler
from training.tasks import tasks_of, views_of, weight_of
from training.tasks.negatives import MemoryBank
from training.tasks.qic import QIC
from training.validation import recall

Told = Callable[[Mapping[str, float]], None]
"""Given every figure of a step: `step`, the losses by name, `rate`, `norm`, and the recalls of a validation."""

_KINDS = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """Where a training writes, whether it goes on from there, who trains with it, what stops it before its end."""

    out: Path
    resume: bool = False
    world: Distributed = field(default_factory=Distributed)
    until: int | None = None
    """Stop after this step, as if killed right after its state was written."""

    clock: Callable[[], float] = time.monotonic


def train(corpus: Corpus, recipe: Recipe, backbones: Backbones, run: TrainingRun, told: Told) -> dict[str, float]:
    """Train to the recipe's end or until recall stands still; the best towers are in `run.out`. Gives the best recall.

    Raises Misuse where there is nothing to resume.
    """
    run.out.mkdir(parents=True, exist_ok=True)
    state, draws = begin(corpus, recipe, backbones, run.world)
    if run.resume:
        state.load(run.out)
    else:
        _validated(state, corpus, run, told, {"step": 0})
    optim, started = recipe.optim, run.clock()
    while state.progress.step < optim.steps and not _stands_still(state):
        figures = step(state, draws)
        state.progress.step += 1
        figures |= {"step": state.progress.step, "seconds": run.clock() - started}
        if state.progress.step % optim.validate_every == 0 or state.progress.step == optim.steps:
            _validated(state, corpus, run, told, figures)
        else:
            told(figures)
        if run.until == state.progress.step:
            break
    return {"best": state.progress.best, "step": state.progress.best_step}


def begin(
    corpus: Corpus, recipe: Recipe, backbones: Backbones, world: Distributed
) -> tuple[TrainingState, BatchSampler]:
    """Fresh towers and tasks, the same in every process, and the batches they will see."""
    device = backbones.device
    towers: SingleStream | LateFusionTowers
    if recipe.towers.late:
        towers = late_fusion.fresh(recipe.towers, corpus, seed=recipe.seed).to(device)
    else:
        towers = initialize(recipe.towers, corpus, backbones, seed=recipe.seed).to(device)
    bank = MemoryBank(recipe.negatives.bank, recipe.towers.dim).to(device) if recipe.negatives.bank else None
    words = corpus.words()
    vectors = backbones.text_tower.words.weight.detach().float().cpu()[words]
    torch.manual_seed(recipe.seed)  # what was drawn before depends on what of the backbones was loaded by then
    tasks = tasks_of(recipe, known=corpus.known, world=world, bank=bank, words=(words, vectors)).to(device)

    def standardise(photos: Tensor) -> tuple[Tensor, Tensor]:
        cells, whole = towers.standardised(photos.to(device))
        return cells.cpu(), whole.cpu()

    draws = BatchSampler(
        corpus, recipe, views=views_of(tasks), backbones=backbones, standardise=standardise, world=world
    )
    return TrainingState(recipe, towers.train(), tasks, bank, world), draws


def step(state: TrainingState, draws: BatchSampler) -> dict[str, float]:
    """One step of all weights. Gives each task's loss, the gradient's norm and the rate."""
    recipe, number = state.recipe, state.progress.step
    optim, device = recipe.optim, next(state.towers.parameters()).device
    figures: dict[str, float] = {}

    for part in range(optim.accumulate):
        batch = draws.at(number, part).to(device)
        seed = ((recipe.seed * 1_000_003 + number) * optim.accumulate + part) * state.world.size + state.world.rank
        backward(
            state.towers, batch, lambda read, b=batch: _total(state, read, b, figures),  # type: ignore[misc]
            chunk=optim.chunk, seed=seed, autocast=lambda: autocast(recipe, device),
        )  # fmt: skip
    weights = state.weights()
    # Zeros for what this batch had no use for, so that all processes average the same weights.
    gradients = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
    state.world.average(gradients)
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.grad = gradient
    figures["rate"] = _set_rate(state)
    state.scaler.unscale_(state.optimizer)
    figures["norm"] = float(torch.nn.utils.clip_grad_norm_(weights, optim.clip or math.inf))
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.optimizer.zero_grad()
    state.follow()
    return figures


def autocast(recipe: Recipe, device: torch.device) -> torch.autocast:
    """Forwards inside are computed in the recipe's precision."""
    kind = _KINDS[recipe.optim.precision]
    return torch.autocast(device.type, dtype=kind, enabled=kind != torch.float32)


def _total(
    state: TrainingState, read: Mapping[str, TowerOutput], batch: TrainBatch, figures: dict[str, float]
) -> Tensor:
    """The weighted sum of the tasks' losses, scaled for the step; each loss goes into the figures."""
    recipe, losses = state.recipe, []
    with _bank(state, batch, read):
        for name, task in state.tasks.items():
            loss = task(read, batch)
            figures[name] = figures.get(name, 0.0) + loss.item() / recipe.optim.accumulate
            losses.append(weight_of(recipe.tasks, name) * loss)
    scaled: Tensor = state.scaler.scale(torch.stack(losses).sum() / recipe.optim.accumulate)
    return scaled


@contextmanager
def _bank(state: TrainingState, batch: TrainBatch, read: Mapping[str, TowerOutput]) -> Iterator[None]:
    """Open the bank to the contrast once it is time; afterwards this batch's items go into it."""
    if state.bank is None or "qic" not in state.tasks:
        yield
        return
    contrast, negatives = state.tasks["qic"], state.recipe.negatives
    assert isinstance(contrast, QIC)  # noqa: S101 -- for the type checker
    contrast.bank_open = state.progress.step >= negatives.bank_after
    yield
    vectors = read["item"].vector.detach()
    if negatives.bank_momentum and state.average is not None:
        with torch.no_grad():
            vectors = state.average.eval().read(batch.views["item"]).vector
    state.bank.push(state.world.gather(vectors.float()), state.world.gather(batch.rows))


def _set_rate(state: TrainingState) -> float:
    """Linear warm-up, then a half cosine to zero."""
    optim, done = state.recipe.optim, state.progress.step
    warm = min(1.0, (done + 1) / max(optim.warmup, 1))
    left = 0.5 * (1 + math.cos(math.pi * max(0, done - optim.warmup) / max(1, optim.steps - optim.warmup)))
    rate = optim.rate * warm * left
    for group in state.optimizer.param_groups:
        group["lr"] = rate * group["share"]
    return rate


def _validated(state: TrainingState, corpus: Corpus, run: TrainingRun, told: Told, figures: dict[str, float]) -> None:
    """Validate, keep the towers if they are the best so far, then the state."""
    progress = state.progress
    with autocast(state.recipe, next(state.towers.parameters()).device):
        found = recall(state.served, corpus, queries=state.recipe.optim.validate_queries)
    # Both vectors are served.
    score = float(np.mean(list(found.values()))) if found else float(progress.step)
    progress.since += 1
    if score > progress.best:
        progress.best, progress.best_step, progress.since = score, progress.step, 0
    told(figures | found)
    if run.world.rank == 0:
        if progress.since == 0:
            _write(state.served, run.out)
        (run.out / "recipe.json").write_text(state.recipe.json(), encoding="utf-8")
        state.save(run.out)


def _write(towers: SingleStream | LateFusionTowers, out: Path) -> None:
    if isinstance(towers, LateFusionTowers):
        fusion.save(towers.fusion, out / LATE)
    else:
        save(towers, out / CHECKPOINT)


def _stands_still(state: TrainingState) -> bool:
    patience = state.recipe.optim.patience
    return 0 < patience <= state.progress.since
