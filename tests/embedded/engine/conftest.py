"""A client of the engine that all tests share. Tests that kill, stop or restart an engine start their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from qdrant_client import QdrantClient

from embedded.engine.process import EngineProcess
from tests.embedded.engine.shelves import connect, make_collection


@pytest.fixture(scope="session")
def client(engine: EngineProcess) -> Iterator[QdrantClient]:
    client = connect(engine.port)
    yield client
    client.close()


@pytest.fixture
def shelf(client: QdrantClient) -> Iterator[str]:
    name = make_collection(client)
    yield name
    client.delete_collection(name)
