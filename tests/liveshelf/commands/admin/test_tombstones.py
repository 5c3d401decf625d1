"""Forgetting deleted products as a person types it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from click.testing import CliRunner

from catalog.domain.change import VersionStamp
from catalog.domain.product import ProductKey
from catalog.domain.state import ProductState, payload_of
from catalog.ports import ProductWrite
from embedded.engine.process import EngineProcess
from liveshelf.cli import main
from tests.fakes import SPACE
from tests.fixtures_engine import collection_at

OLD = 1_600_000_000_000


@contextmanager
def shelf(engine: EngineProcess) -> Iterator[str]:
    """The alias of a collection with a product deleted long ago and a patch that has waited as long."""
    loop = asyncio.new_event_loop()
    there = collection_at(engine.url, SPACE)
    subject = loop.run_until_complete(there.__aenter__())
    states = {
        "gone": ProductState(base=VersionStamp(1, 1, "")),
        "waits": ProductState(patched={"price": VersionStamp(1, 0, "")}),
    }
    writes = [
        ProductWrite(ProductKey("shop", id), None, payload_of(state, fingerprint=None, event_time=OLD), {})
        for id, state in states.items()
    ]
    loop.run_until_complete(subject.index.write(writes))
    try:
        yield subject.collection.partition("--")[0]
    finally:
        loop.run_until_complete(there.__aexit__(None, None, None))
        loop.close()


def purge(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["tombstones", "purge", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_purge_forgets_what_is_old_and_lists_what_waits(engine: EngineProcess, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIVESHELF_QDRANT_URL", engine.url)
    with shelf(engine) as alias:
        monkeypatch.setenv("LIVESHELF_COLLECTION", alias)
        assert "0 tombstones were removed" in purge("--older-than", "1000w")
        assert "1 tombstones would be removed" in purge("--older-than", "30d", "--dry-run")
        said = purge("--older-than", "30d")
        assert "1 tombstones were removed" in said
        assert "waiting for its put since 2020-09-13 12:26:40: shop/waits" in said
        assert "waiting patches" not in said
        assert "1 waiting patches would be removed" in purge("--older-than", "30d", "--waiting", "--dry-run")
        assert "1 waiting patches were removed" in purge("--older-than", "30d", "--waiting")
        assert "waiting" not in purge("--older-than", "30d")


@pytest.mark.parametrize("given", ["30", "soon", "-1d"])
def test_a_span_that_is_none_is_named(given: str):
    result = CliRunner().invoke(main, ["tombstones", "purge", "--older-than", given])
    assert result.exit_code == 2
    assert "is no span of time" in result.output


def test_without_an_index_it_ends_with_a_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIVESHELF_QDRANT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("LIVESHELF_QDRANT_TIMEOUT_SECONDS", "1")
    result = CliRunner().invoke(main, ["tombstones", "purge", "--older-than", "30d"])
    assert result.exit_code == 1
    assert "Qdrant did not" in result.output
