"""Training on one page: the methods of `Trainer` stand in the order in which they run.

The batch, dropout and masks of a step depend only on the seed and the step's number. A training that is stopped and
resumed therefore ends with the same weights as one that runs through.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from encoders.models.late_fusion import Backbones
from encoders.models.load import CHECKPOINT, LATE
from encoders.towers import late_fusion as fusion
from encoders.towers.single_stream import TowerOutput, save
from training.checkpoint import Progress, TrainingState
from training.data.batch import TrainBatch
from training.data.corpus import Corpus
from training.distributed import Distributed
from training.grad_cache import backward
from training.initialize import initialize
from training.late_fusion import LateFusionTowers, Towers, initialize_late_fusion
from training.recipe import OptimConfig, Recipe
from training.sampler import BatchSampler
from training.tasks import tasks_of, views_of, weight_of
from training.tasks.negatives import MemoryBank
from training.tasks.qic import QIC
from training.validation import recall

OnMetrics = Callable[[Mapping[str, float]], None]
"""Receives each step's metrics: `step`, `seconds`, each task's loss, `rate` and `norm`; after a validation recalls."""

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """The output folder of a training, its processes, and whether it resumes from that folder's checkpoint."""

    out: Path
    resume: bool = False
    distributed: Distributed = field(default_factory=Distributed)
    stop_after: int | None = None
    """Stop after this step without a further checkpoint, as a killed process does."""

    clock: Callable[[], float] = time.monotonic


class Trainer:
    """Trains towers by a recipe, in each of several processes or in one. `train` is the entry."""

    def __init__(
        self, corpus: Corpus, recipe: Recipe, backbones: Backbones, run: TrainingRun,
        on_metrics: OnMetrics = lambda metrics: None,
    ) -> None:  # fmt: skip
        """Raises InvalidInput if the run resumes and its folder holds no checkpoint of this recipe."""
        self.corpus, self.recipe, self.run, self.on_metrics = corpus, recipe, run, on_metrics
        self.distributed, self.device = run.distributed, backbones.device
        # Towers: the same initial weights in every process.
        if recipe.towers.late:
            self.towers: Towers = initialize_late_fusion(recipe.towers, corpus, seed=recipe.seed)
        else:
            self.towers = initialize(recipe.towers, corpus, backbones, seed=recipe.seed)
        self.towers.to(self.device).train()
        # The moving average of the towers, which is validated and served in their place.
        self.average = copy.deepcopy(self.towers).requires_grad_(False) if recipe.optim.ema else None

        # Tasks: the losses, and the memory bank of past item vectors.
        size = recipe.negatives.bank
        self.bank = MemoryBank(size, recipe.towers.dim).to(self.device) if size else None
        vocabulary = corpus.vocabulary()
        word_vectors = backbones.text_tower.words.weight.detach().float().cpu()[vocabulary]
        torch.manual_seed(recipe.seed)  # Without this, the state depends on which backbones were loaded before.
        self.tasks = tasks_of(
            recipe, positives=corpus.positives, distributed=self.distributed, bank=self.bank,
            words=(vocabulary, word_vectors),
        ).to(self.device)  # fmt: skip

        # Batches, with the views that the tasks need.
        self.sampler = BatchSampler(
            corpus, recipe, views=views_of(self.tasks), backbones=backbones, standardise=self._standardise,
            distributed=self.distributed,
        )  # fmt: skip

        # Optimizer.
        self.optimizer = _adamw(recipe.optim, self.towers, self.tasks)
        self.weights = [weight for group in self.optimizer.param_groups for weight in group["params"]]
        self.scaler = torch.amp.GradScaler(enabled=recipe.optim.precision == "fp16")
        self.progress = Progress()
        if run.resume:
            self._resume()

    def _standardise(self, photos: Tensor) -> tuple[Tensor, Tensor]:
        """The features that hidden cells are predicted by, as the towers standardise them."""
        cells, whole = self.towers.standardised(photos.to(self.device))
        return cells.cpu(), whole.cpu()

    def _resume(self) -> None:
        state = TrainingState.load(self.run.out, self.recipe)
        self._create_optimizer_state()
        tensors = self._tensors()
        if tensors.keys() != state.tensors.keys():
            raise state.unreadable(self.run.out, "is of another version")
        with torch.no_grad():
            for name, value in tensors.items():
                value.copy_(state.tensors[name])
        self.scaler.load_state_dict(state.scaler)
        self.progress = state.progress

    def _create_optimizer_state(self) -> None:
        """Create the tensors that AdamW allocates at its first step, without moving a weight."""
        before = [weight.detach().clone() for weight in self.weights]
        for weight in self.weights:
            weight.grad = torch.zeros_like(weight)
        self.optimizer.step()
        self.optimizer.zero_grad()
        with torch.no_grad():
            for weight, value in zip(self.weights, before, strict=True):
                weight.copy_(value)

    def train(self) -> dict[str, float]:
        """Train to the last step, or until `patience` validations bring no better recall.

        Returns the `best` recall and its `step`; the best towers are in the output folder.
        """
        self.run.out.mkdir(parents=True, exist_ok=True)
        optim = self.recipe.optim
        if not self.run.resume:
            self.validate({"step": 0})
        started = self.run.clock()
        while self.progress.step < optim.steps and not 0 < optim.patience <= self.progress.since:
            metrics = self.step()
            step = self.progress.step
            metrics |= {"step": step, "seconds": self.run.clock() - started}
            if step % optim.validate_every == 0 or step == optim.steps:
                self.validate(metrics)
            else:
                self.on_metrics(metrics)
            if step == self.run.stop_after:
                break
        return {"best": self.progress.best, "step": self.progress.best_step}

    def step(self) -> dict[str, float]:
        """One update of all weights. Returns each task's loss, the gradient's norm and the learning rate."""
        optim, metrics = self.recipe.optim, dict[str, float]()
        self._open_bank()
        for micro_batch in range(optim.accumulate):
            batch = self.sampler.at(self.progress.step, micro_batch).to(self.device)
            backward(
                self.towers, batch, lambda outputs, b=batch: self._loss(outputs, b, metrics),  # type: ignore[misc]
                chunk=optim.chunk, seed=self._dropout_seed(micro_batch), autocast=self.autocast,
            )  # fmt: skip
        self._average_gradients()
        metrics["rate"] = self._set_learning_rate()
        self.scaler.unscale_(self.optimizer)
        metrics["norm"] = float(torch.nn.utils.clip_grad_norm_(self.weights, optim.clip or math.inf))
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        if self.average is not None:
            with torch.no_grad():
                for mean, value in zip(self.average.parameters(), self.towers.parameters(), strict=True):
                    mean.lerp_(value, 1 - optim.ema)
        self.progress.step += 1
        return metrics

    def _open_bank(self) -> None:
        """Let the contrast use the bank from step `bank_after` on."""
        if "qic" in self.tasks:
            contrast = self.tasks["qic"]
            assert isinstance(contrast, QIC)  # noqa: S101 -- for the type checker
            contrast.bank_open = self.progress.step >= self.recipe.negatives.bank_after

    def _dropout_seed(self, micro_batch: int) -> int:
        """Different for each step, micro-batch and process."""
        micro_step = (self.recipe.seed * 1_000_003 + self.progress.step) * self.recipe.optim.accumulate + micro_batch
        return micro_step * self.distributed.size + self.distributed.rank

    def autocast(self) -> torch.autocast:
        """Forward passes inside are computed in the recipe's precision."""
        dtype = _DTYPES[self.recipe.optim.precision]
        return torch.autocast(self.device.type, dtype=dtype, enabled=dtype != torch.float32)

    def _loss(self, outputs: Mapping[str, TowerOutput], batch: TrainBatch, metrics: dict[str, float]) -> Tensor:
        """The weighted sum of the tasks' losses, scaled for accumulation and fp16. Adds each loss to `metrics`."""
        accumulate, losses = self.recipe.optim.accumulate, []
        for name, task in self.tasks.items():
            loss = task(outputs, batch)
            metrics[name] = metrics.get(name, 0.0) + loss.item() / accumulate
            losses.append(weight_of(self.recipe.tasks, name) * loss)
        if self.bank is not None and "qic" in self.tasks:
            self._fill_bank(self.bank, outputs, batch)
        scaled: Tensor = self.scaler.scale(torch.stack(losses).sum() / accumulate)
        return scaled

    def _fill_bank(self, bank: MemoryBank, outputs: Mapping[str, TowerOutput], batch: TrainBatch) -> None:
        """Store the item vectors of this batch, from all processes."""
        vectors = outputs["item"].vector.detach()
        if self.recipe.negatives.bank_momentum and self.average is not None:
            with torch.no_grad():
                vectors = self.average.eval().read(batch.views["item"]).vector
        bank.push(self.distributed.gather(vectors.float()), self.distributed.gather(batch.rows))

    def _average_gradients(self) -> None:
        """Average over the processes. A weight that this batch did not use gets zeros, so that all send the same."""
        gradients = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in self.weights]
        self.distributed.average(gradients)
        for weight, gradient in zip(self.weights, gradients, strict=True):
            weight.grad = gradient

    def _set_learning_rate(self) -> float:
        """Linear warm-up, then a half cosine to zero."""
        optim, step = self.recipe.optim, self.progress.step
        warmup = min(1.0, (step + 1) / max(optim.warmup, 1))
        cosine = 0.5 * (1 + math.cos(math.pi * max(0, step - optim.warmup) / max(1, optim.steps - optim.warmup)))
        rate = optim.learning_rate * warmup * cosine
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["share"]
        return rate

    @property
    def served(self) -> Towers:
        """The towers that are validated and written out."""
        return self.average or self.towers

    def validate(self, metrics: Mapping[str, float]) -> None:
        """Measure recall, report it with `metrics`, and write a checkpoint."""
        with self.autocast():
            recalls = recall(self.served, self.corpus, queries=self.recipe.optim.validate_queries)
        # The mean of both recalls, because both vectors are served; without validation data the last step is the best.
        score = float(np.mean(list(recalls.values()))) if recalls else float(self.progress.step)
        self.progress.record(score)
        self.on_metrics({**metrics, **recalls})
        if self.distributed.rank == 0:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Write the towers if they are the best so far, the recipe, and everything that a resumed training needs."""
        out, served = self.run.out, self.served
        if self.progress.since == 0:
            if isinstance(served, LateFusionTowers):
                fusion.save(served.fusion, out / LATE)
            else:
                save(served, out / CHECKPOINT)
        (out / "recipe.json").write_text(self.recipe.json(), encoding="utf-8")
        TrainingState(self._tensors(), self.progress, self.scaler.state_dict()).save(out, self.recipe)

    def _tensors(self) -> dict[str, Tensor]:
        """Everything that changes, by name: the tensors themselves, not copies."""
        tensors: dict[str, Tensor] = {}
        modules = {"towers": self.towers, "tasks": self.tasks, "average": self.average, "bank": self.bank}
        for prefix, module in modules.items():
            if module is not None:
                tensors |= {f"{prefix}.{name}": value for name, value in module.state_dict().items()}
        for i, weight in enumerate(self.weights):
            tensors |= {f"optimizer.{i}.{key}": value for key, value in self.optimizer.state.get(weight, {}).items()}
        return tensors


def _adamw(optim: OptimConfig, towers: Towers, tasks: nn.ModuleDict) -> torch.optim.AdamW:
    """AdamW. Vectors, scalars and position embeddings do not decay; backbone layers have a learning rate of their own.

    Each group's `share` is its learning rate as a share of the schedule's.
    """
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    named = [*towers.named_parameters(), *(("tasks." + name, weight) for name, weight in tasks.named_parameters())]
    for name, weight in named:
        is_backbone = name.startswith(("text.", "query_text.", "image."))
        decays = weight.ndim > 1 and name not in {"kinds", "places", "numbers"}
        groups.setdefault((is_backbone, decays), []).append(weight)
    return torch.optim.AdamW(
        [
            {
                "params": weights,
                "weight_decay": optim.decay if decays else 0.0,
                "share": optim.backbone_learning_rate if is_backbone else 1.0,
            }
            for (is_backbone, decays), weights in groups.items()
        ],
        lr=optim.learning_rate,
        betas=(0.9, 0.98),
    )
