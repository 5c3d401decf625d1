"""The subjects of the contracts: the fake, the embedded engine, and a Qdrant server if one is configured."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.fakes import SPACE, FakeIndex
from tests.fixtures_engine import Subject, collection_at, server_url
from tests.fixtures_engine import engine as engine


@pytest.fixture(params=["fake", "engine", pytest.param("server", marks=pytest.mark.server)])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    if request.param == "fake":
        fake = FakeIndex()
        yield Subject(fake, fake, fake, looks=fake, facets=fake)
        return
    url = request.getfixturevalue("engine").url if request.param == "engine" else server_url()
    async with collection_at(url, SPACE) as real:
        yield real
