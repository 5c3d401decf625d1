"""Collections as a person lists and promotes them, on a real engine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result

from catalog.domain.product import ProductKey
from embedded.engine.process import EngineProcess
from indexer import CollectionPolicy, QdrantWriter, ensure, prepare
from liveshelf.cli import main
from tests.contracts.test_product_writer import put
from tests.fakes import SPACE
from tests.fixtures_engine import client_of

NEXT = replace(SPACE, revision="next")


@pytest.fixture
def alias(engine: EngineProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The alias of two collections: the one that serves has two products, that of the next model one."""
    name = f"test-{uuid4().hex}"
    monkeypatch.setenv("LIVESHELF_QDRANT_URL", engine.url)
    monkeypatch.setenv("LIVESHELF_COLLECTION", name)

    async def fill() -> None:
        policy = CollectionPolicy(name=name)
        async with client_of(engine.url) as client:
            for space, make, count in ((SPACE, ensure, 2), (NEXT, prepare, 1)):
                writer = QdrantWriter(client, collection=await make(client, space, policy), space=space)
                await writer.write([put(ProductKey("shop", str(n)), 1) for n in range(count)])

    async def drop() -> None:
        async with client_of(engine.url) as client:
            for space in (SPACE, NEXT):
                await client.delete_collection(f"{name}--{space.id}")

    asyncio.run(fill())
    yield name
    asyncio.run(drop())


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["collections", *arguments])


def listed() -> list[dict[str, object]]:
    return json.loads(run("list", "--json").stdout)


def test_the_list_says_which_collection_serves_and_how_many_products_each_has(alias: str):
    assert sorted((c["space"], c["served"], c["products"]) for c in listed()) == sorted(
        [(SPACE.id, True, 2), (NEXT.id, False, 1)]
    )
    assert NEXT.id in run("list").output


def test_a_collection_with_fewer_products_is_promoted_only_on_purpose(alias: str):
    name = f"{alias}--{NEXT.id}"
    refused = run("promote", name)
    assert refused.exit_code == 1
    assert f"{name} holds 1 products and {alias}--{SPACE.id}, which serves, 2" in refused.output
    assert [c["collection"] for c in listed() if c["served"]] == [f"{alias}--{SPACE.id}"]
    done = run("promote", name, "--fewer")
    assert done.exit_code == 0, done.output
    assert f"{alias} serves {name}; it served {alias}--{SPACE.id} before." in done.output
    assert [c["collection"] for c in listed() if c["served"]] == [name]


def test_a_collection_that_is_not_there_is_a_sentence_with_the_next_step(alias: str):
    refused = run("promote", f"{alias}--other")
    assert refused.exit_code == 1
    assert "`liveshelf worker --standby` makes and fills" in refused.output
