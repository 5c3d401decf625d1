"""One broker for the whole test run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded.broker import Broker

CACHE = Path("~/.cache/liveshelf")


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address, `host:port`, of a Kafka broker that all tests share: name topics and groups per test."""
    with Broker.start(tmp_path_factory.mktemp("broker"), cache=CACHE, timeout=90) as running:
        yield running.bootstrap
