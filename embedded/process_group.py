"""Runs several processes as one: starts them stage by stage, watches them, and stops them in reverse."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Protocol, Self

from embedded.child_process import ChildProcess, Command, tail
from embedded.errors import EmbeddedError

POLL_S = 0.05
STOP_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class RunningProcess(Protocol):
    """A started process: a ChildProcess, a Broker, an EngineProcess."""

    def poll(self) -> int | None:
        """The exit status, or None while it runs."""

    def stop(self) -> object:
        """Shut it down in order."""

    def kill(self) -> object:
        """End it at once (SIGKILL)."""


def _always() -> bool:
    return True


@dataclass(frozen=True)
class GroupMember:
    """One process of a group: how to start it, how to check that it is ready, and its log file.

    `start` may itself wait until the process is ready, as Broker.start does; then `ready` is not needed. `timeout` is
    the time in seconds that `ready` may take to become true after `start` has returned.
    """

    name: str
    start: Callable[[], RunningProcess]
    log: Path
    ready: Callable[[], bool] = _always
    timeout: float = 60.0


def program(name: str, command: Command, *, ready: Callable[[], bool], timeout: float = 60.0) -> GroupMember:
    """A member that is a program of its own; `command.grace` bounds the time it takes to stop."""
    return GroupMember(name, lambda: ChildProcess(command), command.log, ready, timeout)


class ProcessGroup:
    """Members of a stage start together, after every member of the previous stage is ready.

    As a context manager it also turns SIGTERM and SIGHUP into SystemExit, so that they stop the members in order, as
    Ctrl-C does. If this process ends in another way, the watchdog of each ChildProcess ends its member.
    """

    def __init__(self, stages: Sequence[Sequence[GroupMember]]) -> None:
        """Nothing starts yet."""
        self._stages = stages
        self._started: list[tuple[GroupMember, RunningProcess]] = []
        self._ready: list[tuple[GroupMember, RunningProcess]] = []
        self._cancelled = threading.Event()
        self._previous: dict[int, object] = {}

    def start(self) -> None:
        """Start every member and return when all are ready.

        Raises EmbeddedError, after stopping every member, if one ends or is not ready in time.
        """
        try:
            for stage in self._stages:
                self._start_stage(stage)
        except BaseException:
            self.stop()
            raise

    def check(self) -> None:
        """Raise EmbeddedError with the end of the log if a member has ended."""
        for member, process in self._ready:
            status = process.poll()
            if status is not None:
                raise _ended(member, status)

    def wait(self, seconds: float = float("inf")) -> None:
        """Return after `seconds`, or raise as `check` does as soon as a member ends."""
        deadline = time.monotonic() + seconds
        while (remaining := deadline - time.monotonic()) > 0:
            self.check()
            time.sleep(min(POLL_S, remaining))

    def stop(self) -> None:
        """Stop the members, the last started first. If interrupted, end the others at once."""
        while self._started:
            try:
                self._started[-1][1].stop()
            except BaseException:
                for _, process in reversed(self._started):
                    process.kill()
                self._started.clear()
                raise
            finally:
                self._ready.clear()
            self._started.pop()

    def __enter__(self) -> Self:
        """Start every member."""
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, _exit) for number in STOP_SIGNALS}
        try:
            self.start()
        except BaseException:
            self._restore_signals()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop every member."""
        try:
            self.stop()
        finally:
            self._restore_signals()

    def _start_stage(self, stage: Sequence[GroupMember]) -> None:
        with ThreadPoolExecutor(max(1, len(stage))) as pool:
            try:
                futures: set[Future[None]] = {pool.submit(self._start_one, member) for member in stage}
                while futures:
                    done, futures = wait(futures, POLL_S, FIRST_EXCEPTION)
                    for future in done:
                        future.result()
                    self.check()
            except BaseException:
                # The pool waits for its threads, so those that start a member must learn of the failure.
                self._cancelled.set()
                raise

    def _start_one(self, member: GroupMember) -> None:
        process = member.start()
        self._started.append((member, process))
        deadline = time.monotonic() + member.timeout
        while not member.ready():
            if self._cancelled.is_set():
                return
            if (status := process.poll()) is not None:
                raise _ended(member, status)
            if time.monotonic() > deadline:
                raise EmbeddedError(_quoting(f"The {member.name} was not ready in {member.timeout:g} s", member.log))
            time.sleep(POLL_S)
        self._ready.append((member, process))

    def _restore_signals(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._previous = {}


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _ended(member: GroupMember, status: int) -> EmbeddedError:
    how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with exit status {status}"
    return EmbeddedError(_quoting(f"The {member.name} {how}, so everything was stopped", member.log))


def _quoting(sentence: str, log: Path) -> str:
    lines = tail(log)
    return f"{sentence}; the end of {log}:\n{lines}" if lines else f"{sentence}; {log} is empty."
