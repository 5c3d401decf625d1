"""The precision command as a person types it, on a small drawn catalogue."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from torch import nn

from catalog.domain.space import FUSED
from encoders import Model
from encoders.models.load import BUILTIN
from encoders.models.single_stream import SingleStreamModel
from evaluation.judgements import of_titles
from evaluation.precision_gate import CatalogueVectors, gate
from liveshelf import sample
from liveshelf.cli import main
from liveshelf.evaluate.contestants import EncodedCatalogue, ProductTable, products_of, vectors_of
from liveshelf.settings import load_settings


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    sample.draw(folder, count=40)
    return folder


def run(*arguments: str | Path, precision: str = "auto") -> Result:
    return CliRunner(env={"LIVESHELF_PRECISION": precision}).invoke(
        main, ["evaluate", "precision", *map(str, arguments)]
    )


@pytest.mark.parametrize("precision", ["auto", "bfloat16"])
def test_what_ships_passes(shop: Path, precision: str) -> None:
    result = run(shop, "--json", precision=precision)
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["passes"]
    assert said["products"] == 40
    assert said["reference"] == "torch runs it in float32"
    assert set(said["cosine"]) == {"fused", "image", "title", "query"}
    assert all(near["low"] >= 0.99 for near in said["cosine"].values())
    assert set(said["recall"]) == {"reference", "served", "mixed"}


def test_float32_is_the_reference_itself(shop: Path) -> None:
    result = run(shop, "--cosine", "0.9999", precision="float32")
    assert result.exit_code == 0, result.output
    assert "It passes." in result.output


def test_what_is_asked_for_and_not_kept_ends_with_1(shop: Path, tmp_path: Path) -> None:
    only, judged = tmp_path / "only.txt", tmp_path / "judged.csv"
    only.write_text("sku-00001\nsku-00002\n")
    judged.write_text("query,item\nred mug,sku-00001\nhat,sku-of-nobody\n")
    result = run(shop, "--only", only, "--judgements", judged, "--cosine", "1")
    assert result.exit_code == 1
    assert "2 products, 1 queries" in result.output
    assert "It does not pass: `" in result.output
    assert "1 skipped: the item is not in the catalogue" in result.output


def coarse(tower: nn.Module, bits: int) -> None:
    """Round all weights of a tower to so many bits, channel by channel."""
    for weight in (one for one in tower.parameters() if one.ndim > 1):
        step = weight.abs().flatten(1).amax(1).clamp(min=1e-8).view(-1, *(1 for _ in weight.shape[1:]))
        step = step / (2 ** (bits - 1) - 1)
        weight.copy_((weight / step).round() * step)


def made(shop: Path, products: ProductTable, model: Model) -> CatalogueVectors:
    settings = load_settings(image_file_roots=(shop,))
    loaded = EncodedCatalogue(model, vectors_of(settings, model, products.contents))
    return CatalogueVectors(loaded.vectors, FUSED, loaded.queries)


def test_three_bits_do_not_pass(shop: Path) -> None:
    reference, bad = (SingleStreamModel(BUILTIN, name="builtin:small", precision="float32") for _ in range(2))
    with torch.no_grad():
        for tower in (bad._text_states, bad._photo_features):
            coarse(tower._module, 3)  # type: ignore[attr-defined]
    products = products_of(shop)
    found = gate(made(shop, products, reference), made(shop, products, bad), of_titles(products.titles))
    misses = list(found.misses())
    assert {miss.split("`")[1] for miss in misses if miss.startswith("`")} == {"fused", "image", "title", "query"}
