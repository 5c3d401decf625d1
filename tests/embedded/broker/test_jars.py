"""The jars equal those of the lock file, or the broker does not start."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from embedded.broker.jars import LOCK, fetch, locked, present
from embedded.broker.probe import free_port
from embedded.errors import EmbeddedError
from tests.fixtures_broker import CACHE


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache folder of this test, to damage."""
    folder = tmp_path / "kafka"
    folder.mkdir()
    for jar in fetch(CACHE):
        shutil.copyfile(jar, folder / jar.name)
    return tmp_path


def test_the_lock_names_versions_and_digests_and_no_host() -> None:
    assert len(locked()) == 46
    assert all(re.fullmatch(r"[0-9a-f]{64}", jar.sha256) for jar in locked())
    assert "://" not in LOCK.read_text()


def test_a_complete_cache_needs_no_network(cache: Path) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    assert [jar.name for jar in fetch(cache, repository=nowhere)] == [jar.filename for jar in locked()]
    assert len(present(cache)) == len(locked())


def test_a_damaged_jar_without_the_network_is_one_sentence(cache: Path) -> None:
    (cache / "kafka" / locked()[3].filename).write_bytes(b"not a jar")
    with pytest.raises(
        EmbeddedError, match=f"{locked()[3].filename} cannot be downloaded from http.*check the network"
    ):
        fetch(cache, repository=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(EmbeddedError, match=r"1 of the broker's 46 jars are missing"):
        present(cache)
    assert list((cache / "kafka").glob(".download-*")) == []
