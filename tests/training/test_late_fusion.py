"""Late fusion, which the single stream is compared with: the same batches, and a checkpoint that is served."""

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
from training.late_fusion import fresh, pooled
from training.recipe import TaskWeights, checked
from training.trainer import TrainingRun, train

TASKS = TaskWeights(qic_photo=1.0, alike=0.3, meaning=1.0, nested=(8,), plain=6)
LATE_RECIPE = replace(
    RECIPE,
    towers=replace(SHAPE, late=True),
    tasks=TASKS,
    optim=replace(OPTIM, steps=40, validate_every=20, batch=20, precision="bf16"),
)


def test_cells_pooled_are_what_the_image_tower_pools() -> None:
    photos = torch.from_numpy(np.stack([np.asarray(picture(colour, side=96)) for colour in ("red", "teal")]))
    with torch.inference_mode():
        tower = backbones().image_tower
        torch.testing.assert_close(pooled(tower.grid(photos), 9), tower(photos), atol=2e-3, rtol=1e-2)


def test_it_learns_what_photos_mean_and_is_served(tmp_path: Path) -> None:
    lines: list[dict[str, float]] = []
    train(corpus(), LATE_RECIPE, backbones(), TrainingRun(tmp_path), lambda said: lines.append(dict(said)))
    assert lines[-1]["photo recall@10"] > lines[0]["photo recall@10"] + 0.3
    served = load(f"checkpoint:{tmp_path}")
    assert isinstance(served, LateFusionModel)
    assert served.photo_side == SHAPE.photo_side
    assert (tmp_path / LATE).exists()


def test_a_missing_title_or_photo_is_left_out() -> None:
    towers = fresh(LATE_RECIPE.towers, corpus(), seed=0).eval()
    from training.sampler import shelf_of

    _, item = next(shelf_of(corpus(), 40))
    whole, bare = towers.item(item), towers.item(item.without_photos())
    torch.testing.assert_close(whole.vector[~item.there[:, 0]], bare.vector[~item.there[:, 0]])
    title = towers.query(item.title)
    torch.testing.assert_close(bare.vector[item.title.seen.any(1)], title.vector[item.title.seen.any(1)])


def test_tasks_on_tokens_are_refused() -> None:
    with pytest.raises(InvalidInput, match="no mlm"):
        checked(replace(LATE_RECIPE, tasks=replace(TASKS, mlm=0.1)))
