"""The data folder of one machine: where each part keeps its own, and who owns it now."""

from __future__ import annotations

import fcntl
import os
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

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
    """One owner at a time: a lock on `owner.lock` in a folder, which also says who holds it.

    The lock belongs to an open file, so it ends with its holders, however they end. A child that inherits
    `descriptor` holds it too: the folder stays owned until the child, not only its parent, is gone.
    """

    def __init__(self, folder: Path, what: str) -> None:
        """Take the folder, making it if need be; `what` names the owner to others.

        Raises EmbeddedError, naming the folder and the process, if another has it.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / "owner.lock").open("a+")
        end = time.monotonic() + REMAINS_S
        while not self._locked():
            self._file.seek(0)
            pid, _, owner = self._file.read().partition(" ")
            # The owner is gone but a child of its still holds the lock: it is being ended, so it is worth the wait.
            if (pid.isdigit() and _alive(int(pid))) or time.monotonic() > end:
                self._file.close()
                raise EmbeddedError(
                    f"{folder} is in use by {owner.strip() or 'another process'} (process {pid or 'unknown'}): "
                    "stop that one first, or give another folder."
                )
            time.sleep(POLL_S)
        self._file.truncate(0)
        self._file.write(f"{os.getpid()} {what}\n")
        self._file.flush()

    @property
    def descriptor(self) -> int:
        """The locked file's descriptor, to be handed to a child."""
        return self._file.fileno()

    def release(self) -> None:
        """Let go of the folder; a child that inherited the descriptor goes on holding it."""
        self._file.close()

    def __enter__(self) -> Self:
        """The lock is held already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go."""
        self.release()

    def _locked(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
