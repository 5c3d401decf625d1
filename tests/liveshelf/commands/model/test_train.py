"""`liveshelf train` as a person types it: from a catalogue and a log in CSV to a model that is served."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from catalog.domain.space import FUSED
from encoders import load
from liveshelf.cli import main
from liveshelf.sample import draw
from tests.encoders.conftest import picture, png
from training.ablations import __main__ as ablations
from training.synthetic import __main__ as synthetic

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
        csv.writer(file).writerows([("what was asked", "sku", "clicks"), *log])
    return folder


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Products of the sample catalogue, and a synthetic log of them."""
    folder = tmp_path_factory.mktemp("drawn")
    draw(folder / "sample", count=600, seed=11)
    synthetic.main([str(folder / "sample"), "--out", str(folder / "log")])
    return folder


def train(shop: Path, *more: str) -> Result:
    sets = {"data.catalogues": f'"{shop}"', "data.logs": f'"{shop / "log.csv"}"', "optim.steps": "8"}
    sets |= {"optim.validate_every": "4", "optim.batch": "8"}
    changes = [part for name, value in sets.items() for part in ("--set", f"{name}={value}")]
    places = ["--out", str(shop / "model"), "--cache", str(shop / "features"), "--map", "query=what was asked"]
    return CliRunner().invoke(main, ["train", "smoke", *places, *changes, *more])


def test_a_log_in_csv_becomes_a_served_model(shop: Path) -> None:
    done = train(shop)
    assert done.exit_code == 0, done.output
    assert "not in the catalogue" in done.output, "what is passed over is told"
    assert "48 products, 42 of them with a photo" in done.output
    assert (shop / "model" / "model.safetensors").stat().st_mode & 0o044 == 0o044, "others may serve it"
    assert "step 8 of 8" in done.output
    assert f"checkpoint:{shop / 'model'}" in done.output
    assert load(f"checkpoint:{shop / 'model'}").space.vectors[FUSED] == 64
    test = [str(shop / "model" / "test.csv"), "--only", str(shop / "model" / "test.items")]
    places = ["--catalogue", str(shop / "products.jsonl"), "--out", str(shop / "evaluated")]
    judged = CliRunner().invoke(
        main, ["evaluate", "ranking", *test, *places, "--model", f"checkpoint:{shop / 'model'}"]
    )
    assert judged.exit_code == 0, judged.output
    assert "recall@10" in judged.output
    lines = (shop / "model" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(9))
    again = train(shop, "--resume")
    assert again.exit_code == 0, again.output
    assert "features of photos" not in again.output, "the features were kept"


@pytest.mark.timeout(400)  # it trains
def test_the_drawn_sample_is_learnt_from_its_synthetic_log(drawn: Path) -> None:
    """By photo alone, of which fresh towers say nothing, at least three tenths more of what is right is found."""
    places = ["--out", str(drawn / "model"), "--cache", str(drawn / "features")]
    sets = [f'data.catalogues="{drawn / "sample"}"', f'data.logs="{drawn / "log" / "synthetic-log-*.parquet"}"']
    changes = [part for line in (*sets, "tasks.qic_photo=1.0") for part in ("--set", line)]
    done = CliRunner().invoke(main, ["train", "smoke", *places, *changes])
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in (drawn / "model" / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 60
    assert lines[-1]["photo recall@10"] > lines[0]["photo recall@10"] + 0.3
    assert lines[-1]["recall@10"] > lines[0]["recall@10"] + 0.05


def test_a_run_of_the_ablations_is_done_once_and_tabled(drawn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = ("towers.width=32", "towers.dim=32", "towers.heads=2", "towers.photo_side=64", "tasks.nested=16")
    sets = (*tiny, "optim.steps=2", "optim.batch=8", "data.plain_texts=100", "tasks.matched=4", "tasks.masked=4")
    some = ["--rows", "CDNS 2", "--seeds", "1", *(part for one in sets for part in ("--set", one))]
    for _ in range(2):
        ablations.main([str(drawn / "sample"), "--out", str(drawn / "ablations"), *some])
    said = capsys.readouterr()
    assert said.err.splitlines() == ["CDNS 2, seed 0"]
    header, _, row = said.out.splitlines()[:3]
    assert "visible only" in header
    assert row.startswith("| CDNS 2 | 1 | 0.")


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
