"""A child process that never outlives the process that started it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from embedded.errors import EmbeddedError

WATCHDOG = Path(__file__).with_name("watchdog.py")
POLL_S = 0.02
TAIL_LINES = 12
TAIL_BYTES = 16_384


@dataclass(frozen=True)
class Command:
    """A program with its arguments, its complete environment, and the file for its output.

    `env` None is the environment of the starting process. `pass_fds` are descriptors that the child inherits; `grace`
    is the time in seconds from SIGTERM to SIGKILL.
    """

    argv: Sequence[str]
    env: Mapping[str, str] | None
    log: Path
    pass_fds: Sequence[int] = field(default=())
    grace: float = 10.0


class ChildProcess:
    """A running child process in a session of its own, so that Ctrl-C in the terminal reaches only its parent."""

    def __init__(self, command: Command) -> None:
        """Start it. Raises EmbeddedError if the program cannot be run."""
        self._command = command
        command.log.parent.mkdir(parents=True, exist_ok=True)
        self._process = _spawn(command)
        try:
            self._watchdog = _watch(self._process.pid, command.grace)
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    def poll(self) -> int | None:
        """The exit status, negative for a signal, or None while it runs."""
        status = self._process.poll()
        if status is not None:
            self._dismiss_watchdog()
        return status

    def wait_until(self, ready: Callable[[], bool], *, timeout: float) -> bool:
        """True as soon as `ready()` is; False if the child ends or `timeout` seconds pass first."""
        end = time.monotonic() + timeout
        while self.poll() is None and time.monotonic() < end:
            if ready():
                return True
            time.sleep(POLL_S)
        return False

    def stop(self) -> int:
        """Send SIGTERM, and SIGKILL after the grace, and return the exit status."""
        self._process.terminate()
        try:
            self._process.wait(self._command.grace)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._dismiss_watchdog()
        return self._process.returncode

    def kill(self) -> int:
        """Send SIGKILL and return the exit status."""
        self._process.kill()
        self._process.wait()
        self._dismiss_watchdog()
        return self._process.returncode

    def tail(self) -> str:
        """The last lines of its log."""
        return tail(self._command.log)

    def _dismiss_watchdog(self) -> None:
        if self._watchdog.returncode is None:
            self._watchdog.communicate(b"\n")


def _spawn(command: Command) -> subprocess.Popen[bytes]:
    with command.log.open("wb") as log:
        try:
            return subprocess.Popen(  # noqa: S603 - the callers' own programs, never a user's text
                list(command.argv),
                env=None if command.env is None else dict(command.env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=tuple(command.pass_fds),
                start_new_session=True,
            )
        except OSError as error:
            raise EmbeddedError(f"{command.argv[0]} cannot be started: {error.strerror}.") from error


def _watch(pid: int, grace: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-I", "-S", str(WATCHDOG), str(pid), str(grace)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def tail(log: Path) -> str:
    """The last lines of a log file, or an empty text if there is none."""
    if not log.is_file():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-TAIL_LINES:])
