"""Measures peak resident memory and CPU seconds of processes."""

from __future__ import annotations

import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

import psutil

LOOK_EVERY_S = 0.25


class Meter:
    """Watches processes by name while entered. CPU time before a process was added does not count."""

    def __init__(self) -> None:
        self.peak_mb: dict[str, float] = {}
        self._watched: dict[str, tuple[psutil.Process, float]] = {}
        self._used: dict[str, float] = {}
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="meter", daemon=True)

    def add(self, name: str, pid: int) -> None:
        """Watches one more process. A repeated name replaces the earlier process."""
        process = psutil.Process(pid)
        with self._lock:
            self._watched[name] = (process, _cpu_s(process))
            self.peak_mb[name] = 0.0
        self._look()

    @property
    def pids(self) -> dict[str, int]:
        """The process id of each watched name."""
        return {name: process.pid for name, (process, _) in self._watched.items()}

    @property
    def cpu_s(self) -> dict[str, float]:
        """CPU seconds of each process since it was added; the last known value for an ended process."""
        self._look()
        return dict(self._used)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(LOOK_EVERY_S):
            self._look()

    def _look(self) -> None:
        with self._lock:
            for name, (process, before) in self._watched.items():
                with suppress(psutil.Error):
                    self._used[name] = _cpu_s(process) - before
                    self.peak_mb[name] = max(self.peak_mb[name], process.memory_info().rss / 2**20)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
