"""Ends a worker that does not get on although there is work: an orchestrator starts it anew, and nothing is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn, Protocol

from catalog.errors import FatalError, Unavailable
from streams.config import StallPolicy
from streams.pipeline.pipeline import StageProgress

ENDS = "The worker ends, and its records come again"


class Stalled(FatalError):
    """Something hangs, so an orderly end may hang too."""


class WatchedLane(Protocol):
    """What is watched of a lane."""

    @property
    def lane(self) -> str: ...

    @property
    def standing(self) -> StageProgress | None: ...

    @property
    def taken(self) -> int: ...


class Watchdog:
    """Looks now and then at the lanes, and while they are empty asks what they have not been given.

    A service that is known to be away is no stall: each try that fails is a sign of life.
    """

    def __init__(
        self,
        lanes: Sequence[WatchedLane],
        policy: StallPolicy,
        *,
        behind: Callable[[], Awaitable[int]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`behind` counts the records that wait for the lanes, and raises Unavailable where it cannot be known."""
        self._lanes = lanes
        self._policy = policy
        self._behind = behind
        self._clock = clock
        self._taken = 0
        self._idle_since: float | None = None

    async def run(self) -> NoReturn:
        """Looks until there is a reason to raise Stalled."""
        while True:
            await asyncio.sleep(self._policy.look_every_s)
            await self.look()

    async def look(self) -> None:
        """Raises Stalled where nothing has moved for longer than the policy allows."""
        standing = [(lane.lane, at) for lane in self._lanes if (at := lane.standing)]
        for name, at in standing:
            if at.seconds > self._policy.seconds:
                raise Stalled(
                    f"The {name} lane stands still: {at.records} records have been at {at.stage} for "
                    f"{at.seconds:.0f} s. {ENDS}; if a batch may take so long, raise LIVESHELF_STALL_TIMEOUT_SECONDS."
                )
        taken = sum(lane.taken for lane in self._lanes)
        if standing or taken != self._taken:
            self._taken, self._idle_since = taken, None
            return
        await self._look_outside()

    async def _look_outside(self) -> None:
        try:
            behind = await self._behind()
        except Unavailable:
            behind = 0  # nobody can say; a broker that is away is no stall
        if not behind:
            self._idle_since = None
            return
        now = self._clock()
        if self._idle_since is None:
            self._idle_since = now
        if (idle := now - self._idle_since) > self._policy.seconds:
            raise Stalled(f"For {idle:.0f} s {behind} records have waited and no lane was given any. {ENDS}.")
