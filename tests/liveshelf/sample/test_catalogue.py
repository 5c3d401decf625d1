"""The sample catalogue: deterministic, complete, and without photo-only traits in its text."""

from __future__ import annotations

import json
import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from catalog.errors import InvalidInput
from liveshelf.sample import COLOURS, KINDS, PATTERNS, Look, Spec, draw, jpeg, photo, redraw, seen, unseen
from liveshelf.sample.__main__ import main
from liveshelf.sample.naming import TRADES
from liveshelf.sample.stock import stock

COUNT = len(KINDS)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    draw(folder, count=COUNT)
    return folder


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def holdings(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_every_product_has_an_event_a_photo_and_its_traits(shop: Path) -> None:
    products, shown = rows(shop / "products.jsonl"), rows(shop / "seen.jsonl")
    assert len(products) == len(shown) == COUNT
    assert [p["id"] for p in products] == [s["id"] for s in shown]
    assert {s["kind"] for s in shown} == set(KINDS)
    for product in products:
        (name,) = product["images"]
        with Image.open(shop / name) as image:
            assert (image.size, image.mode) == ((224, 224), "RGB")
        assert product["op"] == "put"
        assert set(product["offer"]) == {"price", "currency", "available"}
        assert not {"seen", "colour", "pattern", "shape"} & set(product) | set(product["attributes"]) & {"colour"}
    assert {p.name for p in shop.iterdir()} == {"products.jsonl", "seen.jsonl", "images", "complete"}


def test_the_same_seed_draws_the_same_bytes(shop: Path, tmp_path: Path) -> None:
    reports: list[tuple[int, int]] = []
    draw(tmp_path, count=COUNT, progress=lambda done, of: reports.append((done, of)))
    assert holdings(tmp_path) == holdings(shop)
    assert reports[-1] == (COUNT, COUNT)


def test_several_processes_draw_the_same_as_one(shop: Path, tmp_path: Path) -> None:
    draw(tmp_path, count=4 * COUNT)
    many = holdings(tmp_path)
    images = {name: data for name, data in holdings(shop).items() if name.startswith("images/")}
    assert images.items() <= many.items()


def test_another_seed_draws_another_shop() -> None:
    assert [i.event for i in stock(40, 7)] == [i.event for i in stock(40, 7)]
    assert [i.event for i in stock(40, 7)] != [i.event for i in stock(40, 8)]


def test_a_complete_folder_is_kept_and_an_incomplete_one_is_redrawn(shop: Path, tmp_path: Path) -> None:
    draw(tmp_path, count=2)
    photo_path = tmp_path / "images" / "sku-00001.jpg"
    photo_path.write_bytes(b"touched")
    draw(tmp_path, count=2)
    assert photo_path.read_bytes() == b"touched"
    (tmp_path / "complete").unlink()
    (tmp_path / "images" / "sku-09999.jpg").write_bytes(b"left over")
    killed = tmp_path / ".products.jsonl.1-0123abcd.tmp"
    killed.write_text("half")
    draw(tmp_path, count=2)
    assert photo_path.read_bytes() == (shop / "images" / "sku-00001.jpg").read_bytes()
    assert not killed.exists()
    assert len(list((tmp_path / "images").iterdir())) == 2
    assert len(rows(draw(tmp_path, count=3))) == 3


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("do not delete")
    with pytest.raises(InvalidInput, match=r"thesis\.txt"):
        draw(tmp_path, count=1)
    assert (tmp_path / "thesis.txt").exists()


def test_the_text_never_has_traits_of_the_photo() -> None:
    shapes = {shape for kind in KINDS.values() for shape in kind.shapes}
    parts = {kind.part for kind in KINDS.values()}
    loose = {
        "stripe",
        "stripes",
        "dots",
        "dot",
        "flower",
        "flowers",
        "star",
        "heart",
        "check",
        "gold",
        "silver",
        "sage",
    }
    hidden = {*COLOURS, *PATTERNS, *shapes, *parts, *loose}
    for item in stock(2400, 7):
        text = json.dumps([item.event["title"], item.event["attributes"]]).lower()
        assert not hidden & set(re.findall(r"[a-z-]+", text)), text


def test_no_two_products_look_the_same_and_kinds_are_even() -> None:
    items = stock(2400, 7)
    assert len({i.spec.look for i in items}) == 2400
    counts = {kind: sum(i.spec.look.kind == kind for i in items) for kind in KINDS}
    assert set(counts.values()) == {120}
    assert 0.03 < sum(not i.available for i in items) / 2400 < 0.07
    for item in items:
        low, high = TRADES[item.spec.look.kind].prices
        assert low <= item.design.price <= high + 1
        assert item.spec.look.pattern in KINDS[item.spec.look.kind].patterns
        assert item.spec.look.part != item.spec.look.colour


def test_some_products_share_a_title_and_differ_in_the_photo_alone() -> None:
    items = stock(2400, 7)
    titles = {i.design.title for i in items}
    assert 1200 < len(titles) < 2200


def test_every_trait_can_be_seen() -> None:
    """Changing one trait, and nothing else, changes the photo; changing none does not."""
    for name, kind in KINDS.items():
        look = Look(name, kind.shapes[0], "blue", "striped", "red")
        before = np.asarray(photo(Spec(look, 5), 96), int)
        others = [Look(name, shape, "blue", "striped", "red") for shape in kind.shapes[1:]]
        others += [
            Look(name, look.shape, "yellow", "striped", "red"),
            Look(name, look.shape, "blue", "striped", "white"),
        ]
        others += [Look(name, look.shape, "blue", pattern, "red") for pattern in ("plain", "checked", "zigzag")]
        for other in others:
            changed = np.abs(np.asarray(photo(Spec(other, 5), 96), int) - before).max(axis=2) > 30
            assert changed.mean() > 0.002, (look, other)
        assert (np.asarray(photo(Spec(look, 5), 96), int) == before).all()


def test_a_changed_photo_of_a_product(shop: Path) -> None:
    same = redraw("sku-00001", shop)
    assert same == (shop / "images" / "sku-00001.jpg").read_bytes()
    look = seen(shop)["sku-00001"].look
    other = "green" if look.colour != "green" else "blue"
    changed = redraw("sku-00001", shop, colour=other, pattern="dotted")
    assert changed != same
    assert Image.open(BytesIO(changed)).size == (224, 224)
    assert redraw("sku-00001", shop, view=3) != same


def test_an_impossible_drawing_is_refused(shop: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="sku-9"):
        redraw("sku-9", shop)
    with pytest.raises(InvalidInput, match="no colour 'mauve'"):
        redraw("sku-00001", shop, colour="mauve")
    with pytest.raises(InvalidInput, match="no kind 'piano'"):
        unseen(shop, "piano", 1)
    with pytest.raises(InvalidInput, match=r"python -m liveshelf\.sample"):
        seen(tmp_path)


def test_a_query_photo_shows_a_look_that_the_shop_lacks(shop: Path) -> None:
    spec = unseen(shop, "mug", 1)
    assert spec.look not in {s.look for s in seen(shop).values()}
    assert spec == unseen(shop, "mug", 1) != unseen(shop, "mug", 2)
    assert jpeg(photo(spec, 320)).startswith(b"\xff\xd8")


def test_the_command_draws_and_prints_the_path(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [str(tmp_path / "shop"), "--count", "2"])
    assert result.exit_code == 0
    assert result.output.strip().endswith("products.jsonl")
    (tmp_path / "shop" / "mine.txt").touch()
    refused = CliRunner().invoke(main, [str(tmp_path / "shop"), "--count", "3"])
    assert refused.exit_code == 1
    assert "mine.txt" in refused.output


@pytest.mark.parametrize("size", [64, 333, 512])
def test_a_photo_shows_the_same_object_at_any_size(size: int) -> None:
    spec = Spec(Look("teapot", "round", "blue", "dotted", "red"), 5)
    image = photo(spec, size)
    assert image.size == (size, size)
    small, usual = (np.asarray(i.resize((32, 32), Image.Resampling.BOX), float) for i in (image, photo(spec)))
    assert np.abs(small - usual).mean() < 6
