"""A folder has one owner at a time, and a dead owner does not count."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from embedded.data_folder import DataFolder, Ownership
from embedded.errors import EmbeddedError

OWNER = """
import os, signal, sys
from pathlib import Path
from embedded.data_folder import Ownership
ownership = Ownership(Path(sys.argv[1]), "the other one")
print("held", flush=True)
signal.pause()
"""


def test_parts_have_folders_of_their_own(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    assert len({folder.broker, folder.engine, folder.logs, folder.run}) == 4


def test_the_second_owner_is_told_who_is_the_first(tmp_path: Path) -> None:
    with (
        Ownership(tmp_path, "a shop"),
        pytest.raises(EmbeddedError, match=rf"by a shop \(process {os.getpid()}"),
    ):
        Ownership(tmp_path, "another")
    Ownership(tmp_path, "another").release()


def test_a_killed_owner_owns_nothing(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", OWNER, str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "held\n"
        with pytest.raises(EmbeddedError, match="the other one"):
            Ownership(tmp_path, "a shop")
        owner.kill()
        owner.wait()
    Ownership(tmp_path, "a shop").release()


def test_a_child_that_inherits_the_lock_keeps_the_folder_owned(tmp_path: Path) -> None:
    ownership = Ownership(tmp_path, "a parent")
    argv = [sys.executable, "-I", "-S", "-c", "input()"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, pass_fds=(ownership.descriptor,)) as child:
        with pytest.raises(EmbeddedError, match="a parent"):
            Ownership(tmp_path, "a shop")
        ownership.release()
        threading.Timer(0.5, child.communicate, (b"\n",)).start()
        # The parent is gone, its child ends soon: the next owner waits for it.
        begin = time.monotonic()
        Ownership(tmp_path, "a shop").release()
        assert time.monotonic() - begin > 0.4
