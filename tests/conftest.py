"""Fixtures that tests share: each module of them is one line here."""

from __future__ import annotations

pytest_plugins = [
    "tests.fixtures_broker",
    "tests.fixtures_engine",
]
