"""The real trainer and the real report, on products drawn here."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from encoders import load
from encoders.families import LATE
from encoders.fusion import read as read_fusion
from tests.encoders.conftest import picture, png
from training import report
from training.data import read
from training.late import fusion
from training.late.recipe import SMOKE

COLOURS = {"red": "#c02020", "green": "#20a030", "blue": "#2040c0", "yellow": "#e0c020"}
KINDS = {"plate": "ellipse", "box": "rectangle"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 products of 16 brands, whose titles do not say what colour they are."""
    folder = tmp_path_factory.mktemp("shop")
    events, seen = [], []
    for i in range(64):
        colour, kind = list(COLOURS)[i % 4], list(KINDS)[i // 4 % 2]
        photo = picture(COLOURS[colour], shape=KINDS[kind], side=48 + i)
        (folder / f"{i}.png").write_bytes(png(photo))
        title = f"Brand{i // 4} {kind} {i}, hand made"
        events.append({"id": str(i), "title": title, "images": [f"{i}.png"] if i % 9 else []})
        seen.append({"id": str(i), "colour": colour, "kind": kind})
    (folder / "products.jsonl").write_text("\n".join(map(json.dumps, events)))
    (folder / "seen.jsonl").write_text("\n".join(map(json.dumps, seen)))
    return folder


@pytest.fixture(scope="module")
def trained(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    fusion.main([str(shop), "--out", str(out / "a"), "--cache", str(out / "cache"), "--smoke"])
    return out


def test_training_writes_a_checkpoint_that_loads(trained: Path) -> None:
    model = load(f"checkpoint:{trained / 'a'}")
    assert model.photo_side == SMOKE.photo_side
    assert set(model.space.vectors.values()) == {SMOKE.dim}


def test_the_same_seed_gives_the_same_weights(trained: Path, shop: Path) -> None:
    fusion.main([str(shop), "--out", str(trained / "b"), "--cache", str(trained / "cache"), "--smoke"])
    one, two = (read_fusion(trained / name / LATE).state_dict() for name in "ab")
    for name, value in one.items():
        torch.testing.assert_close(value, two[name], atol=1e-3, rtol=1e-3)


def test_training_learns_what_only_the_photo_shows(trained: Path, shop: Path) -> None:
    """More steps of the same recipe, so that chance is left far behind."""
    recipe = replace(SMOKE, steps=120, batch=48)
    backbones = fusion.Backbones(torch.device("cpu"))
    examples = read(shop)
    found = fusion.material([examples], recipe, backbones, trained / "cache")
    heads = fusion.train(found, np.arange(len(examples)), recipe)
    with torch.inference_mode():
        asked = backbones.texts([backbones.prepare(f"{colour} plate", None, side=0) for colour in COLOURS])
        near = heads.text(asked) @ heads.image(torch.from_numpy(found.photos.astype(np.float32))).T
    near = near.masked_fill(torch.from_numpy(~found.has_photo), -9)
    best = [examples[i].facets["colour"] for i in near.argmax(1).tolist()]
    assert best == list(COLOURS)


def test_the_report_says_how_well_products_are_found(
    trained: Path, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report.main([str(shop), "--model", f"checkpoint:{trained / 'a'}", "--held-back", "0.3"])
    said = capsys.readouterr().out
    for name in ("fused", "photo alone", "title alone"):
        assert said.count(f"| {name} |") == 4
    assert "recall@10" in said
