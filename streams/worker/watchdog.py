"""Ends a worker that makes no progress although there is work. An orchestrator restarts it, and nothing is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn, Protocol

from catalog.errors import FatalError, Unavailable
from streams.config import StallPolicy
from streams.pipeline.pipeline import StageProgress

ENDS = "The worker ends; its records are read again after a restart"


class Stalled(FatalError):
    """Something hangs, so an orderly shutdown may hang too."""


class WatchedLane(Protocol):
    """The part of a lane that is watched."""

    @property
    def lane(self) -> str: ...

    @property
    def progress(self) -> StageProgress | None: ...

    @property
    def received(self) -> int: ...


class Watchdog:
    """Checks the lanes at intervals, and the consumer lag while they are empty.

    An outage of a service is no stall, because each try that fails is a sign of life.
    """

    def __init__(
        self,
        lanes: Sequence[WatchedLane],
        policy: StallPolicy,
        *,
        lag: Callable[[], Awaitable[int]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`lag` counts the records that no lane has received yet, and raises Unavailable if that is unknown."""
        self._lanes = lanes
        self._policy = policy
        self._lag = lag
        self._clock = clock
        self._received = 0
        self._idle_since: float | None = None

    async def run(self) -> NoReturn:
        """Checks until it raises Stalled."""
        while True:
            await asyncio.sleep(self._policy.look_every_s)
            await self.check()

    async def check(self) -> None:
        """Raises Stalled if nothing has moved for longer than the policy allows."""
        busy = [(lane.lane, progress) for lane in self._lanes if (progress := lane.progress)]
        for name, progress in busy:
            if progress.seconds > self._policy.seconds:
                raise Stalled(
                    f"The {name} lane stands still: {progress.records} records have been at {progress.stage} for "
                    f"{progress.seconds:.0f} s. {ENDS}. "
                    "If a batch may take so long, raise LIVESHELF_STALL_TIMEOUT_SECONDS."
                )
        received = sum(lane.received for lane in self._lanes)
        if busy or received != self._received:
            self._received, self._idle_since = received, None
            return
        await self._check_lag()

    async def _check_lag(self) -> None:
        try:
            lag = await self._lag()
        except Unavailable:
            lag = 0  # unknown, and a broker that is unavailable is no stall
        if not lag:
            self._idle_since = None
            return
        now = self._clock()
        if self._idle_since is None:
            self._idle_since = now
        if (idle := now - self._idle_since) > self._policy.seconds:
            raise Stalled(f"For {idle:.0f} s {lag} records have waited and no lane received any. {ENDS}.")
