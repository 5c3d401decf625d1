"""`liveshelf train` as a person types it: from a catalogue and a log in CSV to a model that is served."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from catalog.space import FUSED
from encoders import load
from liveshelf.cli import main
from tests.encoders.conftest import picture, png

COLOURS = {"red": "#c02020", "green": "#20a030", "blue": "#2040c0", "yellow": "#e0c020"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 products of 24 brands whose titles do not say their colour, and a log of queries that do."""
    folder = tmp_path_factory.mktemp("shop")
    events, log = [], []
    for i in range(48):
        colour = list(COLOURS)[i % 4]
        (folder / f"{i}.png").write_bytes(png(picture(COLOURS[colour], side=48 + i)))
        title = f"Brand{i // 2} plate {i}, hand made"
        events.append({"id": str(i), "title": title, "images": [f"{i}.png"] if i % 9 else []})
        log += [(f"{colour} plate brand{i // 2}", str(i), 2), (f"brand{i // 2} plate", str(i), 1)]
    log += [("", "1", 1), ("mug", "none such", 1)]
    (folder / "products.jsonl").write_text("\n".join(map(json.dumps, events)))
    with (folder / "log.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("query", "item", "weight"), *log])
    return folder


def train(shop: Path, *more: str) -> Result:
    sets = {"data.catalogues": f'"{shop}"', "data.logs": f'"{shop / "log.csv"}"', "optim.steps": "8"}
    sets |= {"optim.validate_every": "4", "optim.batch": "8"}
    changes = [part for name, value in sets.items() for part in ("--set", f"{name}={value}")]
    places = ["--out", str(shop / "model"), "--cache", str(shop / "features")]
    return CliRunner().invoke(main, ["train", "smoke", *places, *changes, *more])


def test_a_log_in_csv_becomes_a_served_model(shop: Path) -> None:
    done = train(shop)
    assert done.exit_code == 0, done.output
    assert "not in the catalogue" in done.output, "what is passed over is told"
    assert "step 8 of 8" in done.output
    assert f"checkpoint:{shop / 'model'}" in done.output
    assert load(f"checkpoint:{shop / 'model'}").space.vectors[FUSED] == 64
    lines = (shop / "model" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(9))
    again = train(shop, "--resume")
    assert again.exit_code == 0, again.output
    assert "features of photos" not in again.output, "the features were kept"


def test_backbones_are_trained_by_a_line_of_the_recipe(shop: Path) -> None:
    lines = ("towers.image_tower=true", "towers.text_layers=1", "towers.shared=false", "optim.steps=2")
    done = train(shop, *(part for line in lines for part in ("--set", line)))
    assert done.exit_code == 0, done.output
    assert load(f"checkpoint:{shop / 'model'}").space.vectors[FUSED] == 64


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("data.logs=nothing.csv", "nothing.csv"),
        ("data.catalogues=[]", "set data.catalogues and data.logs"),
        ("optim.step=3", "there is no 'step'"),
    ],
)
def test_what_is_wrong_is_one_sentence(shop: Path, change: str, said: str) -> None:
    done = train(shop, "--set", change)
    assert done.exit_code == 1, done.output
    assert said in done.output
    assert "Traceback" not in done.output
