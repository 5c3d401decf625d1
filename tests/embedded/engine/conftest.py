"""One engine for the tests that only talk to it; those that kill, stop or restart one start their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from qdrant_client import QdrantClient

from embedded.engine.process import EngineProcess
from tests.embedded.engine.shelves import connect, make_collection


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    with EngineProcess.start(tmp_path_factory.mktemp("engine")) as running:
        yield running


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
