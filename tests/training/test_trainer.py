"""The real training loop on random features."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from catalog.errors import InvalidInput
from encoders.models.load import CHECKPOINT
from encoders.towers.single_stream import read
from tests.training.tiny import ALL, OPTIM, RECIPE, backbones, corpus, trainer
from training.checkpoint import FILE
from training.metrics_log import FILE as METRICS
from training.metrics_log import MetricsLog
from training.recipe import Recipe
from training.trainer import Trainer, TrainingRun

AVERAGED = replace(
    RECIPE, optim=replace(OPTIM, ema=0.9), negatives=replace(RECIPE.negatives, bank_momentum=True),
    towers=replace(RECIPE.towers, dropout=0.1),
)  # fmt: skip
SEPARATE = replace(RECIPE, towers=replace(RECIPE.towers, shared=False))


def run(recipe: Recipe, out: Path, *, resume: bool = False, stop_after: int | None = None) -> list[Mapping[str, float]]:
    lines: list[Mapping[str, float]] = []
    training = TrainingRun(out, resume=resume, stop_after=stop_after, clock=lambda: 0.0)
    Trainer(corpus(), recipe, backbones(), training, lines.append).train()
    return lines


@pytest.mark.parametrize("recipe", [RECIPE, AVERAGED, SEPARATE], ids=["plain", "averaged", "separate"])
def test_a_killed_and_resumed_training_equals_an_uninterrupted_one(recipe: Recipe, tmp_path: Path) -> None:
    whole = run(recipe, tmp_path / "whole")
    run(recipe, tmp_path / "killed", stop_after=5)  # the checkpoint is of step 3
    rest = run(recipe, tmp_path / "killed", resume=True)
    assert [line["step"] for line in rest] == [4, 5, 6]
    assert rest == whole[-3:]
    for name in (FILE, CHECKPOINT):
        uninterrupted, resumed = load_file(tmp_path / "whole" / name), load_file(tmp_path / "killed" / name)
        assert uninterrupted.keys() == resumed.keys()
        assert all(torch.equal(value, resumed[key]) for key, value in uninterrupted.items())


def test_resuming_nothing_or_with_another_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="nothing to resume"):
        run(RECIPE, tmp_path, resume=True)
    run(replace(RECIPE, optim=replace(OPTIM, steps=3)), tmp_path)
    with pytest.raises(InvalidInput, match=r"optim.steps = 3, not 6"):
        run(RECIPE, tmp_path, resume=True)
    (tmp_path / FILE).write_bytes(b"broken")
    with pytest.raises(InvalidInput, match="without --resume"):
        run(RECIPE, tmp_path, resume=True)


def test_it_learns_photos(tmp_path: Path) -> None:
    recipe = replace(
        RECIPE, optim=replace(OPTIM, steps=60, validate_every=20, batch=20), tasks=replace(ALL, qic_photo=1.0)
    )
    lines = run(recipe, tmp_path)
    validated = [line for line in lines if "recall@10" in line]
    assert [line["step"] for line in validated] == [0, 20, 40, 60]
    assert max(line["photo recall@10"] for line in validated) > validated[0]["photo recall@10"] + 0.3
    assert read(tmp_path / CHECKPOINT).shape == recipe.towers
    assert json.loads((tmp_path / "recipe.json").read_text())["optim"]["steps"] == 60


def test_training_ends_when_recall_stands_still(tmp_path: Path) -> None:
    still = replace(OPTIM, learning_rate=0.0, steps=50, validate_every=2, patience=3)
    assert run(replace(RECIPE, optim=still), tmp_path)[-1]["step"] == 6


def test_several_batches_make_one_step(tmp_path: Path) -> None:
    """The gradient of two batches is the mean of both, and so are the reported losses."""
    recipe = replace(RECIPE, negatives=replace(RECIPE.negatives, bank=0), tasks=replace(ALL, qim=0.0, qim2=0.0))
    accumulating = trainer(replace(recipe, optim=replace(OPTIM, accumulate=2)))
    metrics = accumulating.step()
    singles = []
    for micro_batch in range(2):
        single = trainer(recipe)
        with torch.no_grad():
            batch = accumulating.sampler.at(0, micro_batch)
            outputs = {name: single.towers.read(view) for name, view in batch.views.items()}
            singles.append(single.tasks["qic"](outputs, batch).item())
    assert metrics["qic"] == pytest.approx(sum(singles) / 2, rel=1e-5)


def test_every_batch_depends_only_on_the_seed_and_the_step() -> None:
    sampler = trainer(RECIPE).sampler
    first, same, other = sampler.at(3), sampler.at(3), sampler.at(4)
    assert torch.equal(first.rows, same.rows)
    assert torch.equal(first.hidden_cells, same.hidden_cells)
    assert not torch.equal(first.rows, other.rows)


def test_processes_draw_parts_of_one_batch() -> None:
    whole = replace(RECIPE, optim=replace(OPTIM, batch=24))
    parts = [trainer(RECIPE, rank=rank, processes=2).sampler.at(1).rows for rank in range(2)]
    assert torch.equal(trainer(whole).sampler.at(1).rows, torch.cat(parts))


def test_metrics_are_lines_and_a_repeated_step_is_written_once(tmp_path: Path) -> None:
    displayed: list[object] = []
    log = MetricsLog(tmp_path, displayed.append, resume=False)
    for number in (1, 2, 3):
        log({"step": number, "qic": 1 / number})
    MetricsLog(tmp_path, displayed.append, resume=True)({"step": 3, "qic": 0.5})
    lines = [json.loads(line) for line in (tmp_path / METRICS).read_text().splitlines()]
    assert lines == [{"step": 1, "qic": 1.0}, {"step": 2, "qic": 0.5}, {"step": 3, "qic": 0.5}]
    assert len(displayed) == 4
