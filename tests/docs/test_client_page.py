"""docs/client.md and docs/qdrant.md: what they show is run, the one on a service, the other on the engine besides."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import grpc
from starlette.types import ASGIApp

from catalog.domain.space import FUSED, IMAGE
from catalog.ports import ProductWrite
from catalog.query.candidates import CandidateService
from catalog.query.search import SearchService
from embedded.engine.process import EngineProcess
from indexer import (
    CollectionPolicy,
    QdrantCandidateReader,
    QdrantReader,
    QdrantWriter,
    collection_name,
    connect,
    ensure,
)
from indexer.qdrant.bm25 import write_document
from search import Dependencies, create_app, index_health
from tests.liveshelf.service import listening, of
from tests.search.shop import SPACE, Album, Overlap, bag, photo, stocked

DOCS = Path(__file__).resolve().parents[2] / "docs"
POLICY = CollectionPolicy(name="products-docs")


def run(page: str, **addresses: str) -> dict[str, Any]:
    """All Python of a page, one block after the other, with other addresses; what it leaves behind, by name."""
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```$", (DOCS / page).read_text("utf-8"), re.MULTILINE | re.DOTALL):
        exec(compile(replaced(block, addresses), page, "exec"), names)  # noqa: S102
    return names


def replaced(block: str, addresses: dict[str, str]) -> str:
    block = block.replace("http://127.0.0.1:8000", addresses["service"])
    return block.replace("grpc_port=6334", f"grpc_port={addresses.get('engine', '0')}")


def test_what_the_clients_page_shows_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mug.png").write_bytes(photo())
    with listening(of(stocked())) as url:
        names = run("client.md", service=url)
    assert names["mug"].title == "sea green mug"
    assert names["like_it"].hits[0].id == "mug/blue"
    assert names["prices"][names["candidates"].ids.index("lamp")] == 80.0
    assert names["table"].num_rows == 4
    assert names["both"][1] == "lamp"
    printed = capsys.readouterr().out
    assert "there is no live product 'gone'" in printed
    assert "limit: 0 is not between" in printed
    assert "64 fused products--overlap" in printed


def test_what_the_clients_readme_shows_works(capsys: pytest.CaptureFixture[str]) -> None:
    with listening(of(stocked())) as url:
        run("../client/README.md", service=url)
    assert "sea green mug" in capsys.readouterr().out


@asynccontextmanager
async def indexed(engine: EngineProcess) -> AsyncIterator[ASGIApp]:
    """The service of the shop's products in the engine itself."""
    client = connect(engine.url, api_key=None, timeout_s=20)
    collection = await ensure(client, SPACE, POLICY)
    try:
        writes = [
            ProductWrite(key, None, dict(said), {FUSED: bag(said["title"]), IMAGE: bag(said["title"])})
            for key, said in stocked().shelf.products.items()
        ]
        await QdrantWriter(client, collection=collection, space=SPACE).write(writes)
        shelf = QdrantReader(client, collection=collection, space=SPACE)
        search_service = SearchService(
            product_reader=shelf, vector_reader=shelf, facet_reader=stocked().shelf, encoder=Overlap()
        )
        candidates = QdrantCandidateReader(client, collection=collection, space=SPACE)
        dependencies = Dependencies(
            search_service=search_service,
            candidate_service=CandidateService(candidate_reader=candidates, search_service=search_service),
            product_reader=shelf,
            images=Album(),
            health=index_health(shelf, space=SPACE.id),
            collection=collection,
        )
        yield create_app(dependencies)
    finally:
        await client.delete_collection(collection)
        await client.close()


def test_what_the_page_about_qdrant_shows_works_and_says_no_more_than_the_service(engine: EngineProcess) -> None:
    with listening(lambda: indexed(engine)) as url:
        names = run("qdrant.md", service=url, engine=str(engine.port))
    assert [hit.payload["id"] for hit in names["nearest"]] == ["mug", "mug/blue"]
    assert names["nearest"][0].score == pytest.approx(1, abs=1e-3)
    assert names["query"].collection == collection_name(POLICY, SPACE)
    assert {hit.payload["id"] for hit in names["titled"]} == {"mug", "mug/blue"}
    assert {hit.payload["id"] for hit in names["both"]} == {"mug", "mug/blue", "lamp"}
    assert names["count"] == 3
    assert {(hit.value, hit.count) for hit in names["brands"]} == {("Arbour", 2), ("Lumen", 1)}


async def test_the_page_about_qdrant_names_every_index_and_the_words_as_they_are_made(engine: EngineProcess) -> None:
    page = (DOCS / "qdrant.md").read_text("utf-8")
    client = connect(engine.url, api_key=None, timeout_s=20)
    policy = CollectionPolicy(name="products-named")
    collection = await ensure(client, SPACE, policy)
    try:
        info = await client.get_collection(collection)
        own = {name for name in info.payload_schema if not name.startswith("attributes.")}
        for name in own | set(info.config.params.vectors) | set(info.config.params.sparse_vectors or {}):
            assert f"`{name}`" in page, name
    finally:
        await client.delete_collection(collection)
        await client.close()
    names: dict[str, Any] = {}
    exec(re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[0], names)  # noqa: S102
    ours = grpc.Document()
    write_document(ours, "mug")
    shown = names["words"]("mug")
    assert (shown.text, shown.model) == (ours.text, ours.model)
    assert shown.options == {name: getattr(value, value.WhichOneof("kind")) for name, value in ours.options.items()}
