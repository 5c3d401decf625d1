"""The data folder of one machine: where each part keeps its own, and who owns it now."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from embedded.errors import EmbeddedError

POLL_S = 0.05
REMAINS_S = 15.0


@dataclass(frozen=True)
class DataFolder:
    """The layout below one folder: `broker/`, `engine/`, `logs/` and `run/` (ready files, addresses)."""

    root: Path

    @property
    def broker(self) -> Path:
        """What the broker keeps: topics, offsets, its settings and logs."""
        return self.root / "broker"

    @property
    def engine(self) -> Path:
        """What the engine keeps: collections and aliases."""
        return self.root / "engine"

    @property
    def logs(self) -> Path:
        """One log file for each part."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """Files that matter only while the parts run."""
        return self.root / "run"


class Ownership:
    """One owner at a time: a lock on `owner.lock` in a folder; the file `owner` says who holds it.

    The lock belongs to an open file, so it ends with its holders, however they end. A child that inherits
    `descriptor` holds it too: the folder stays owned until the child, not only its parent, is gone.
    """

    def __init__(self, folder: Path, what: str) -> None:
        """Take the folder, making it if need be; `what` names the owner to others.

        Raises EmbeddedError, naming the folder and the process, if another has it.
        """
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as opened:
            self._lock = opened.enter_context((folder / "owner.lock").open("a"))
            self._name = opened.enter_context((folder / "owner").open("a+"))
            end = time.monotonic() + REMAINS_S
            while not _taken(self._lock):
                # No child inherits the lock on `owner`. If it is free, the owner is gone and a child of its is being
                # ended, which is worth the wait.
                if not _taken(self._name) or time.monotonic() > end:
                    raise EmbeddedError(_in_use(folder, self._name))
                fcntl.flock(self._name, fcntl.LOCK_UN)
                time.sleep(POLL_S)
            fcntl.flock(self._name, fcntl.LOCK_EX)
            self._name.truncate(0)
            self._name.write(f"{os.getpid()} {what}\n")
            self._name.flush()
            opened.pop_all()

    @property
    def descriptor(self) -> int:
        """The locked file's descriptor, to be handed to a child."""
        return self._lock.fileno()

    def release(self) -> None:
        """Let go of the folder; a child that inherited the descriptor goes on holding it."""
        self._name.close()
        self._lock.close()

    def __enter__(self) -> Self:
        """The lock is held already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go."""
        self.release()


def _taken(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _in_use(folder: Path, name: IO[str]) -> str:
    name.seek(0)
    pid, _, owner = name.read().strip().partition(" ")
    return (
        f"{folder} is in use by {owner or 'another process'} (process {pid or 'unknown'}): "
        "stop that one first, or give another folder."
    )
