"""The evaluate command as a person types it, on a small drawn catalogue."""

from __future__ import annotations

import asyncio
import csv
import json
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result

from catalog.domain.product import Content, ProductKey
from catalog.domain.space import FUSED
from embedded.engine.process import EngineProcess
from encoders import Model, load
from encoders.offline import query_vectors
from indexer import CollectionPolicy, QdrantWriter, ensure
from liveshelf import sample
from liveshelf.cli import main
from liveshelf.evaluate.contestants import live_recall, products_of
from liveshelf.settings import Settings
from tests.contracts.test_product_writer import put
from tests.fixtures_engine import client_of


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    sample.draw(folder, count=40)
    return folder


@pytest.fixture(scope="module")
def judged(shop: Path) -> Path:
    """Each product's own title, and its colour and kind, which the title does not say, as queries for it."""
    products = [json.loads(line) for line in (shop / "products.jsonl").read_text().splitlines()]
    seen = [json.loads(line) for line in (shop / "seen.jsonl").read_text().splitlines()]
    file = shop / "judged.csv"
    with file.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["query", "item", "grade", "groups"])
        rows.writerows([one["title"], one["id"], 1, "titles"] for one in products)
        rows.writerows([f"{one['colour']} {one['kind']}", one["id"], 1, "looks"] for one in seen)
        rows.writerow(["hat", "sku-of-nobody", 1, ""])
    return file


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["evaluate", "ranking", *map(str, arguments)])


def test_bm25_alone_is_judged_without_a_model(shop: Path, judged: Path, tmp_path: Path) -> None:
    result = run(judged, "--catalogue", shop, "--model", "bm25", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "1 skipped: the item is not in the catalogue; first judged.csv line 82." in result.output
    assert "nDCG@10 by group" in result.output
    said = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert said["items"] == 40
    assert said["models"]["bm25"]["titles"]["MRR"]["mean"] > 0.9
    assert said["models"]["bm25"]["all"]["beyond words@10"]["mean"] == 0
    assert (tmp_path / "out" / "evaluation.html").read_text("utf-8").count("data:image/jpeg;base64,") > 10


def test_a_model_is_compared_with_words_with_its_titles_and_its_photos(
    shop: Path, judged: Path, tmp_path: Path
) -> None:
    against = ["--against", "bm25", "--against", "title:builtin:small", "--against", "photo:builtin:small"]
    result = run(judged, "--catalogue", shop / "products.jsonl", *against, "--out", tmp_path, "--shown", "3", "-k", "5")
    assert result.exit_code == 0, result.output
    assert "builtin:small less the others, all queries" in result.output
    said = json.loads((tmp_path / "evaluation.json").read_text())
    assert list(said["models"]) == ["builtin:small", "bm25", "title:builtin:small", "photo:builtin:small"]
    looks = {name: by_group["looks"]["MRR"]["mean"] for name, by_group in said["models"].items()}
    assert looks["builtin:small"] > looks["title:builtin:small"] > 0
    assert said["models"]["title:builtin:small"]["titles"]["recall@5"]["mean"] > 0.9
    assert said["models"]["builtin:small"]["looks"]["beyond words@5"]["mean"] > 0
    assert said["differences"]["builtin:small - bm25"]["looks"]["nDCG@5"]["p"] < 0.05


def test_only_some_products_are_searched_among(shop: Path, judged: Path, tmp_path: Path) -> None:
    only = tmp_path / "only.txt"
    only.write_text("sku-00001\nsku-00002\n\n")
    result = run(judged, "--catalogue", shop, "--only", only, "--model", "bm25", "--out", tmp_path, "--shown", "0")
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "evaluation.json").read_text())["items"] == 2
    assert "77 skipped: the item is not in the catalogue" in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "nothing"], "There is no model 'nothing'"),
        (["--model", "title:nothing"], "There is no model 'nothing'"),
        (["--model", "bm25", "--live"], "bm25 has no vectors"),
        (["--model", "bm25", "--map", "query"], "--map query: give FIELD=COLUMN"),
        (["--model", "bm25", "--map", "item=sku"], "lacks the column 'sku'"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    shop: Path, judged: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    result = run(judged, "--catalogue", shop, "--out", tmp_path, *arguments)
    assert result.exit_code == 1, result.output
    assert said in result.output
    assert "Traceback" not in result.output


def test_rows_of_the_catalogue_that_are_no_products_are_told(judged: Path, tmp_path: Path) -> None:
    lines = ['{"op": "put", "id": "sku-00001", "title": "Mug"}', "no JSON", '{"op": "delete", "id": "sku-00002"}']
    (tmp_path / "shop.jsonl").write_text("\n".join(lines))
    products = products_of(tmp_path / "shop.jsonl")
    assert (products.ids, products.contents) == (("sku-00001",), (Content("Mug"),))
    result = run(judged, "--catalogue", tmp_path / "shop.jsonl", "--model", "bm25", "--out", tmp_path)
    assert "shop.jsonl row 2: not JSON" in result.output
    assert "1 rows of the catalogue are no products and are left out." in result.output


@pytest.fixture(scope="module")
def model() -> Model:
    return load("builtin:small")


def test_many_queries_are_encoded_as_each_alone_in_their_order(model: Model) -> None:
    texts = ["a red mug", "hat", "a much longer query for a striped cushion", "hat"] * 20
    found = query_vectors(model, texts)
    assert found.shape == (80, model.space.vectors[FUSED])
    for text, vector in zip(texts[:4], found[:4], strict=True):
        assert vector @ query_vectors(model, [text])[0] > 0.995


async def test_the_live_collection_is_measured_against_an_exact_search(engine: EngineProcess, model: Model) -> None:
    settings = Settings(qdrant_url=engine.url, collection=f"test-{uuid4().hex}")
    titles = [f"{colour} {kind}" for colour in ("red", "blue", "green") for kind in ("mug", "hat", "lamp", "chair")]
    async with client_of(engine.url) as client:
        collection = await ensure(client, model.space, CollectionPolicy(name=settings.collection))
        try:
            index = QdrantWriter(client, collection=collection, space=model.space)
            await index.write(
                [
                    replace(put(ProductKey("shop", title), 1), vectors={FUSED: vector})
                    for title, vector in zip(titles, query_vectors(model, titles), strict=True)
                ]
            )
            found = await asyncio.to_thread(live_recall, settings, model, titles, 3)
        finally:
            await client.delete_collection(collection)
    assert (found.mean, found.low, found.high) == (1.0, 1.0, 1.0)
