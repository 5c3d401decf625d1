"""The data folder of one machine: its layout, and its present owner."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from embedded.errors import EmbeddedError

POLL_S = 0.05
DEAD_OWNER_WAIT_S = 15.0


@dataclass(frozen=True)
class DataFolder:
    """The layout below one folder: `broker/`, `engine/`, `logs/` and `run/` (ready files, addresses)."""

    root: Path

    @property
    def broker(self) -> Path:
        """The broker's topics, offsets, settings and logs."""
        return self.root / "broker"

    @property
    def engine(self) -> Path:
        """The engine's collections and aliases."""
        return self.root / "engine"

    @property
    def logs(self) -> Path:
        """One log file for each process."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """Files that are needed only while the processes run."""
        return self.root / "run"


def make_folder(folder: Path) -> None:
    """Create the folder if it is missing. Raises EmbeddedError, naming the folder, if it cannot be created."""
    with _writable(folder):
        folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EmbeddedError(
            f"The folder {folder} cannot be written ({error.strerror}): set LIVESHELF_DATA_DIR to a folder that you "
            "can write to."
        ) from error


class Ownership:
    """A lock on `owner.lock` in a folder, for one owner at a time. The file `owner` names the owner.

    The lock belongs to an open file, so it ends with its processes, however they end. A child that inherits
    `descriptor` shares the lock, so the folder stays locked until the child ends too.
    """

    def __init__(self, folder: Path, owner: str) -> None:
        """Lock the folder, and create it if it is missing; `owner` names the owner to others.

        Raises EmbeddedError, naming the folder and the process, if another process owns it, and as `make_folder` does.
        """
        make_folder(folder)
        with ExitStack() as opened:
            with _writable(folder):
                self._lock = opened.enter_context((folder / "owner.lock").open("a"))
                self._name = opened.enter_context((folder / "owner").open("a+"))
            deadline = time.monotonic() + DEAD_OWNER_WAIT_S
            while not _locked(self._lock):
                # No child inherits the lock on `owner`. If it is free, the owner ended and its watchdog is ending a
                # child of it, so wait.
                if not _locked(self._name) or time.monotonic() > deadline:
                    raise EmbeddedError(_in_use(folder, self._name))
                fcntl.flock(self._name, fcntl.LOCK_UN)
                time.sleep(POLL_S)
            fcntl.flock(self._name, fcntl.LOCK_EX)
            self._name.truncate(0)
            self._name.write(f"{os.getpid()} {owner}\n")
            self._name.flush()
            opened.pop_all()

    @property
    def descriptor(self) -> int:
        """The locked file's descriptor, for a child to inherit."""
        return self._lock.fileno()

    def release(self) -> None:
        """Release the folder. A child that inherited the descriptor keeps it locked."""
        self._name.close()
        self._lock.close()

    def __enter__(self) -> Self:
        """Nothing to do: the constructor took the lock."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the folder."""
        self.release()


def _locked(file: IO[str]) -> bool:
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
