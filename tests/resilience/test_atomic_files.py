"""A file is replaced whole, or not at all."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from resilience.atomic_files import is_temporary, replacing, write_atomically


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("fsync", [True, False])
@pytest.mark.parametrize(("data", "content"), [("Größe\n", "Größe\n".encode()), (b"\x00\xff\r\n", b"\x00\xff\r\n")])
def test_bytes_and_text_replace_the_content(tmp_path: Path, data: bytes | str, content: bytes, fsync: bool) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    write_atomically(path, data, fsync=fsync)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_the_mode_is_that_of_other_files_or_the_one_that_is_given(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_atomically(tmp_path / "public", "x")
        write_atomically(tmp_path / "secret", "x", mode=0o600)
        write_atomically(tmp_path / "public-then-secret", "x")
        write_atomically(tmp_path / "public-then-secret", "x", mode=0o600)
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "public") == 0o644
    assert mode_of(tmp_path / "secret") == mode_of(tmp_path / "public-then-secret") == 0o600


def test_after_an_error_the_old_file_is_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def interrupted() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileNotFoundError), replacing(path):
        pass  # nothing was written
    assert path.read_text() == "old"


def test_a_target_that_cannot_be_replaced_leaves_no_temporary_file(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(OSError):
        write_atomically(folder, "x")
    assert list(tmp_path.iterdir()) == [folder]
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "missing" / "file", "x")


def test_the_content_is_on_disk_before_the_name_and_the_name_before_it_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, steps = tmp_path / "file", []
    sync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        steps.append(f"sync {kind}")
        sync(descriptor)

    def replaced(old: Path, new: Path) -> None:
        steps.append("replace")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    write_atomically(path, "x")
    assert steps == ["sync file", "replace", "sync folder"]
    steps.clear()
    write_atomically(path, "x", fsync=False)
    assert steps == ["replace"]


def test_a_reader_sees_a_whole_file_while_threads_write_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = [letter * 100_000 for letter in "abcd"]
    write_atomically(path, contents[0])

    def write(content: str) -> None:
        for _ in range(20):
            write_atomically(path, content, fsync=False)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert path.read_text() in contents
    assert list(tmp_path.iterdir()) == [path]


def test_a_temporary_file_that_a_killed_process_left_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with replacing(path) as temporary:
        temporary.write_text("x")
        assert is_temporary(temporary, path)
        assert not is_temporary(temporary, tmp_path / "other")
        assert not is_temporary(temporary, tmp_path / "folder" / "file")
    assert not is_temporary(path, path)
