from __future__ import annotations

from pathlib import Path

import pytest

from catalog.errors import InvalidInput
from training.recipe import RECIPES, Recipe, changed, load


@pytest.mark.parametrize("name", [file.stem for file in RECIPES.glob("*.toml")])
def test_every_recipe_of_the_project_loads(name: str) -> None:
    assert isinstance(load(name), Recipe)


def test_values_are_changed_by_name(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("seed = 3\n[optim]\nrate = 1\n[tasks]\nnested = [64]\n")
    found = load(
        str(tmp_path / "mine.toml"),
        ["optim.steps=7", "tasks.loss=softmax", "data.catalogues=shop.jsonl", "tasks.nested=[]", "towers.shared=false"],
    )
    assert (found.seed, found.optim.rate, found.optim.steps) == (3, 1.0, 7)
    assert (found.tasks.loss, found.tasks.nested, found.towers.shared) == ("softmax", (), False)
    assert found.data.catalogues == ("shop.jsonl",)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("optim.step=7", "there is no 'step'"),
        ("nothing.steps=7", "there is no 'nothing'"),
        ("optim.steps=many", "must be a value like"),
        ("optim.steps=true", "must be a value like"),
        ("optim.steps", "section.key=value"),
        ("tasks.loss=hinge", "am_softmax, softmax or sigmoid"),
        ("optim.precision=int8", "bf16, fp16 or fp32"),
        ("negatives.bank_momentum=true", "set optim.ema"),
        ("towers.photo_side=100", "multiple of 32"),
        ("towers.heads=7", "multiple of towers.heads"),
        ("towers.dim=512", "at most towers.width"),
        ("towers.text_layers=9", "0 to 6"),
        ("optim.batch=1", "at least 2"),
    ],
)
def test_a_wrong_change_is_one_sentence(change: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        load("small", [change])


def test_no_task_is_told() -> None:
    with pytest.raises(InvalidInput, match="no weight above 0"):
        load("small", [f"tasks.{name}=0" for name in ("qic", "qic_photo", "alike", "mpm_r_patch", "meaning")])


def test_a_recipe_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="late, small, smoke"):
        load("large")
    (tmp_path / "bad.toml").write_text("seed = [")
    with pytest.raises(InvalidInput, match="no TOML"):
        load(str(tmp_path / "bad.toml"))


def test_a_change_leaves_the_rest(tmp_path: Path) -> None:
    assert changed(Recipe(), ["optim.steps=7"]).optim.batch == Recipe().optim.batch
