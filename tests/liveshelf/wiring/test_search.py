"""The settings of the search reach the index: on the embedded engine, with a graph and quantized vectors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from qdrant_client import models

from catalog.domain.product import ProductKey
from catalog.domain.space import FUSED, Space
from catalog.errors import InvalidInput
from catalog.ports import Vector
from catalog.query.query import Mode, Query, QueryPart
from catalog.query.validate import QueryPolicy
from embedded.engine.process import EngineProcess
from indexer import GraphPolicy, QdrantWriter, collection_name, ensure
from liveshelf.settings import Settings, load_settings
from liveshelf.wiring.encoder import collection_policy_of, graph_policy_of, query_policy_of
from liveshelf.wiring.search import dependencies_of
from search import Dependencies
from tests.contracts.test_product_writer import put
from tests.fakes import SPACE, FakeEncoder, unit
from tests.fixtures_engine import client_of, collection_at
from tests.fixtures_engine import engine as engine
from tests.search.shop import Album, Overlap

# Large enough for a graph to be searched: Qdrant compares with every vector below 10 MB.
WIDE = Space(model="wide", revision="1", preprocessing="none", vectors={FUSED: 1024})
COUNT = 3000


def test_what_is_not_set_is_what_was_measured_to_be_best() -> None:
    settings = load_settings()
    assert graph_policy_of(settings) == GraphPolicy()
    assert query_policy_of(settings) == QueryPolicy()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("parent_attribute", "x" * 257),
        ("hnsw_m", 1),
        ("hnsw_ef_construct", "wide"),
        ("hnsw_ef", 0),
        ("quantization", "maybe"),
        ("quantization_rescore", "2"),
        ("quantization_oversampling", 0.5),
        ("quantization_oversampling", "nan"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(InvalidInput, match=f"LIVESHELF_{name.upper()}={value}: "):
        load_settings(**{name: value})


@asynccontextmanager
async def searched(settings: Settings, encoder: Overlap | FakeEncoder) -> AsyncIterator[Dependencies]:
    async with dependencies_of(settings, encoder, Album()) as (parts, _):
        yield parts


async def test_what_is_a_variant_is_said_by_an_attribute_that_can_be_chosen(engine: EngineProcess) -> None:
    async with collection_at(engine.url, SPACE) as subject:
        said: list[dict[str, object]] = [
            {"attributes_model": "a", "attributes_parent": "x"},
            {"attributes_model": "a", "attributes_parent": "y"},
            {"attributes_model": "b", "attributes_parent": "x"},
        ]
        await subject.index.write([put(ProductKey("shop", str(n)), 1, **fields) for n, fields in enumerate(said)])
        name = subject.collection.partition("--")[0]
        for given, like in (({}, "1"), ({"parent_attribute": "model"}, "2")):
            settings = load_settings(qdrant_url=engine.url, collection=name, **given)
            async with searched(settings, FakeEncoder()) as parts:
                found = await parts.search_service.similar(ProductKey("shop", "0"), Query())
            assert [hit.key.id for hit in found.hits] == [like]


def vector(name: str) -> Vector:
    return unit(name, WIDE.vectors[FUSED])


async def fill(url: str, settings: Settings) -> None:
    """A collection of vectors that lie nowhere in particular, which a poor graph finds its way in badly."""
    small = replace(collection_policy_of(settings), indexing_threshold_kb=10)
    async with client_of(url) as client:
        index = QdrantWriter(client, collection=await ensure(client, WIDE, small), space=WIDE)
        for first in range(0, COUNT, 500):
            names = [str(n) for n in range(first, first + 500)]
            writes = [replace(put(ProductKey("shop", name), 1), vectors={FUSED: vector(name)}) for name in names]
            assert not (await index.write(writes)).invalid


async def test_graph_and_quantized_vectors_are_made_and_searched_as_the_settings_say(tmp_path: Path) -> None:
    with EngineProcess.start(tmp_path) as filled:
        settings = load_settings(qdrant_url=filled.url, quantization="int8", hnsw_m=4, hnsw_ef_construct=8)
        await fill(filled.url, settings)
    with EngineProcess.start(tmp_path, optimize=True, timeout=90) as running:
        settings = settings.model_copy(update={"qdrant_url": running.url})
        name = collection_name(collection_policy_of(settings), WIDE)
        async with client_of(running.url) as client:
            config = (await client.get_collection(name)).config
        assert (config.hnsw_config.m, config.hnsw_config.ef_construct) == (4, 8)
        assert isinstance(config.quantization_config, models.ScalarQuantization)

        query = Query((QueryPart("anything"),), mode=Mode.DENSE, limit=10)
        encoder = Overlap(space=WIDE, vector=vector("a query"))

        async def found(exact: bool = False, **given: object) -> dict[str, float]:
            """Scores by product."""
            async with searched(settings.model_copy(update=given), encoder) as parts:
                answer = await parts.search_service(replace(query, exact=exact))
            return {hit.key.id: hit.score for hit in answer.hits}

        best = await found(exact=True)
        narrow = {"hnsw_ef": 10, "quantization_rescore": True}
        given = (narrow, narrow | {"hnsw_ef": COUNT}, narrow | {"quantization_oversampling": 100.0})
        few, wide, chosen = [len(best.keys() & (await found(**each)).keys()) for each in given]
        assert few < min(wide, chosen)
        true = {name: float(vector(name) @ encoder.vector) for name in map(str, range(COUNT))}
        for rescore, close in ((True, True), (False, False)):
            scores = await found(hnsw_ef=3000, quantization_rescore=rescore)
            assert all(abs(score - true[name]) < 1e-6 for name, score in scores.items()) is close
