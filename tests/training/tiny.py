"""A corpus of random features, small enough that a step takes milliseconds, and trainers on it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.models.late_fusion import Backbones
from encoders.towers.backbones import TEXT_DIM
from encoders.towers.single_stream import TowerShape
from training.data.corpus import Corpus, InteractionTable
from training.data.features import FeatureStates
from training.distributed import Distributed
from training.recipe import DataConfig, NegativesConfig, OptimConfig, Recipe, TaskWeights
from training.trainer import Trainer, TrainingRun

SHAPE = TowerShape(dim=16, width=32, layers=1, heads=2, expansion=2, photo_side=64)
ALL = TaskWeights(
    qic=1.0, qic_photo=0.5, mlm=0.1, mpm=0.1, mpm_r_patch=0.1, mpm_r_image=0.1, qim=0.1, qim2=0.1,
    text_distillation=1.0, nested=(8,), masked=6, matched=6, plain=6,
)  # fmt: skip
OPTIM = OptimConfig(steps=6, batch=12, warmup=2, validate_every=3, precision="fp32", learning_rate=1e-2)
RECIPE = Recipe(
    towers=SHAPE, data=DataConfig(), tasks=ALL, negatives=NegativesConfig(bank=16, bank_after=2), optim=OPTIM
)


@cache
def backbones() -> Backbones:
    return Backbones(torch.device("cpu"), torch.float32)


def states(count: int, rng: np.random.Generator, meaning: NDArray[np.float64]) -> FeatureStates:
    """Texts of two to six tokens around `meaning` (count, TEXT_DIM)."""
    lengths = rng.integers(2, 7, count)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    rows = np.repeat(np.arange(count), lengths)
    tokens = meaning[rows] + 0.3 * rng.standard_normal((len(rows), TEXT_DIM))
    return FeatureStates(tokens.astype(np.float16), rng.integers(1000, 1040, len(rows)).astype(np.int32), starts)


def corpus(items: int = 40, queries: int = 24, seed: int = 0) -> Corpus:
    """Each query means its item, whose title and photo mean the same; every seventh item has no photo."""
    rng = np.random.default_rng(seed)
    meaning = rng.standard_normal((items, TEXT_DIM))
    features = rng.standard_normal((TEXT_DIM, SHAPE.features)) / TEXT_DIM**0.5
    has_photo = np.arange(items) % 7 != 0
    photos = np.where(has_photo[:, None], meaning @ features, 0).astype(np.float16)
    item = np.arange(queries) % items
    train = InteractionTable(np.append(np.arange(queries), 0), np.append(item, 5), np.ones(queries + 1))
    plain = states(20, rng, rng.standard_normal((20, TEXT_DIM)))
    vectors = plain.means()
    return Corpus(
        titles=states(items, rng, meaning),
        has_title=np.arange(items) % 9 != 1,
        photos=photos,
        has_photo=has_photo,
        queries=states(queries, rng, meaning[item]),
        train=train,
        validation=InteractionTable(np.arange(queries), item, np.ones(queries)),
        validation_items=np.arange(items),
        plain=plain,
        plain_vectors=vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
    )


def trainer(recipe: Recipe, *, rank: int = 0, processes: int = 1) -> Trainer:
    """A trainer whose steps are run one by one, without an output folder."""
    run = TrainingRun(Path("unused"), distributed=Distributed(rank, processes))
    return Trainer(corpus(), recipe, backbones(), run)
