from __future__ import annotations

import json
from pathlib import Path

import pytest

from catalog.errors import InvalidInput
from training.recipe import RECIPES, Recipe, changed, load, with_current_keys


@pytest.mark.parametrize("name", [file.stem for file in RECIPES.glob("*.toml")])
def test_every_recipe_of_the_project_loads(name: str) -> None:
    assert isinstance(load(name), Recipe)


def test_values_are_changed_by_name(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("seed = 3\n[optim]\nlearning_rate = 1\n[tasks]\nnested = [64]\n")
    recipe = load(
        str(tmp_path / "mine.toml"),
        ["optim.steps=7", "tasks.loss=softmax", "data.catalogues=shop.jsonl", "tasks.nested=[]", "towers.shared=false"],
    )
    assert (recipe.seed, recipe.optim.learning_rate, recipe.optim.steps) == (3, 1.0, 7)
    assert (recipe.tasks.loss, recipe.tasks.nested, recipe.towers.shared) == ("softmax", (), False)
    assert recipe.data.catalogues == ("shop.jsonl",)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("optim.step=7", "there is no 'step': did you mean 'steps'"),
        ("nothing.steps=7", "there is no 'nothing': use one of data, negatives"),
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
def test_a_wrong_change_is_refused_in_one_sentence(change: str, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        load("small", [change])


RENAMED = {
    "data.ask_title": "title_query_share",
    "tasks.alike": "photo_item_contrast",
    "tasks.meaning": "text_distillation",
    "tasks.both_ways": "symmetric",
    "optim.rate": "learning_rate",
    "optim.backbone_rate": "backbone_learning_rate",
}


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_a_former_key_is_refused_with_its_current_name(old: str, new: str) -> None:
    with pytest.raises(InvalidInput, match=f"there is no '{old.split('.')[1]}': did you mean '{new}'\\?$"):
        load("small", [f"{old}=1"])


def test_a_saved_recipe_with_former_keys_is_read_with_current_ones() -> None:
    current = json.loads(Recipe().json())
    former = json.loads(Recipe().json())
    for old, new in RENAMED.items():
        section, key = old.split(".")
        former[section][key] = former[section].pop(new)
    assert former != current
    assert with_current_keys(former) == with_current_keys(current) == current


def test_a_recipe_without_tasks_is_refused() -> None:
    names = ("qic", "qic_photo", "photo_item_contrast", "mpm_r_patch", "text_distillation")
    with pytest.raises(InvalidInput, match="no weight above 0"):
        load("small", [f"tasks.{name}=0" for name in names])


def test_a_missing_or_unreadable_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="late, small, smoke"):
        load("large")
    (tmp_path / "bad.toml").write_text("seed = [")
    with pytest.raises(InvalidInput, match="not TOML"):
        load(str(tmp_path / "bad.toml"))


def test_a_change_leaves_the_rest(tmp_path: Path) -> None:
    assert changed(Recipe(), ["optim.steps=7"]).optim.batch == Recipe().optim.batch
