"""Real indexes for tests: one embedded engine per test run, and a Qdrant server where there is one."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

import pytest
from qdrant_client import AsyncQdrantClient

from catalog.domain.space import Space
from catalog.ports import FacetReader, ProductReader, ProductWriter, VectorReader
from embedded.engine.process import EngineProcess
from indexer import CollectionPolicy, QdrantFacetReader, QdrantReader, QdrantWriter, collection_name, connect, ensure

SERVER = "LIVESHELF_TEST_QDRANT_URL"


@dataclass(frozen=True)
class Subject:
    """Both sides of one empty collection, and a second writer with a connection of its own."""

    index: ProductWriter
    shelf: ProductReader
    rival: ProductWriter
    looks: VectorReader
    facets: FacetReader
    collection: str = ""


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    with EngineProcess.start(tmp_path_factory.mktemp("engine")) as running:
        yield running


def server_url() -> str:
    """The gRPC address of the Qdrant server to test against; skips where none is given."""
    url = os.environ.get(SERVER)
    if not url:
        pytest.skip(f"no Qdrant server: set {SERVER} to its gRPC address, as in http://127.0.0.1:6334")
    return url


@asynccontextmanager
async def client_of(url: str) -> AsyncIterator[AsyncQdrantClient]:
    client = connect(url, api_key=None, timeout_s=20)
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def collection_at(url: str, space: Space) -> AsyncIterator[Subject]:
    """A collection of a name of its own, gone afterwards."""
    policy = CollectionPolicy(name=f"test-{uuid4().hex}", indexed=("brand", "color"))
    async with client_of(url) as client, client_of(url) as second:
        try:
            collection = await ensure(client, space, policy)
            shelf = QdrantReader(client, collection=policy.name, space=space)
            yield Subject(
                index=QdrantWriter(client, collection=collection, space=space),
                shelf=shelf,
                looks=shelf,
                facets=QdrantFacetReader(client, collection=policy.name, fresh_s=0.0),
                rival=QdrantWriter(second, collection=collection, space=space),
                collection=collection,
            )
        finally:
            await client.delete_collection(collection_name(policy, space))


@pytest.fixture(params=["engine", pytest.param("server", marks=pytest.mark.server)])
def qdrant_url(request: pytest.FixtureRequest) -> str:
    """The gRPC address of the embedded engine, and of a server where there is one."""
    return str(request.getfixturevalue("engine").url) if request.param == "engine" else server_url()
