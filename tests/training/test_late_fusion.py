"""Late fusion, the baseline: it trains on the same batches and writes a checkpoint that is served."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from catalog.errors import InvalidInput
from encoders import load
from encoders.models.late_fusion import LateFusionModel
from encoders.models.load import LATE
from tests.encoders.conftest import picture
from tests.training.tiny import OPTIM, RECIPE, SHAPE, backbones, corpus
from training.late_fusion import initialize_late_fusion, pooled
from training.recipe import TaskWeights, checked
from training.sampler import validation_batches
from training.trainer import Trainer, TrainingRun

TASKS = TaskWeights(qic_photo=1.0, photo_item_contrast=0.3, text_distillation=1.0, nested=(8,), plain=6)
LATE_RECIPE = replace(
    RECIPE,
    towers=replace(SHAPE, late=True),
    tasks=TASKS,
    optim=replace(OPTIM, steps=40, validate_every=20, batch=20, precision="bf16"),
)


def test_cells_are_pooled_as_by_the_image_tower() -> None:
    photos = torch.from_numpy(np.stack([np.asarray(picture(colour, side=96)) for colour in ("red", "teal")]))
    with torch.inference_mode():
        tower = backbones().image_tower
        torch.testing.assert_close(pooled(tower.grid(photos), 9), tower(photos), atol=2e-3, rtol=1e-2)


def test_it_learns_photos_and_is_served(tmp_path: Path) -> None:
    lines: list[dict[str, float]] = []
    run = TrainingRun(tmp_path)
    Trainer(corpus(), LATE_RECIPE, backbones(), run, lambda metrics: lines.append(dict(metrics))).train()
    assert lines[-1]["photo recall@10"] > lines[0]["photo recall@10"] + 0.3
    served = load(f"checkpoint:{tmp_path}")
    assert isinstance(served, LateFusionModel)
    assert served.photo_side == SHAPE.photo_side
    assert (tmp_path / LATE).exists()


def test_a_missing_title_or_photo_is_left_out() -> None:
    towers = initialize_late_fusion(LATE_RECIPE.towers, corpus(), seed=0).eval()
    _, item = next(validation_batches(corpus(), 40))
    whole, titles = towers.item(item), towers.item(item.without_photos())
    torch.testing.assert_close(whole.vector[~item.there[:, 0]], titles.vector[~item.there[:, 0]])
    as_query = towers.query(item.title)
    torch.testing.assert_close(titles.vector[item.title.seen.any(1)], as_query.vector[item.title.seen.any(1)])


def test_tasks_on_tokens_are_refused() -> None:
    with pytest.raises(InvalidInput, match="remove mlm"):
        checked(replace(LATE_RECIPE, tasks=replace(TASKS, mlm=0.1)))
