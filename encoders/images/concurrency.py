"""How many fetches run at once, in all and to one host."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class _HostSlots:
    turn: asyncio.Semaphore
    users: int = 0


class FetchLimiter:
    """At most `total` at a time, at most `per_host` of them for one host. Only hosts in use take a place in memory."""

    def __init__(self, *, total: int, per_host: int) -> None:
        self._total = asyncio.Semaphore(total)
        self._per_host = per_host
        self._hosts: dict[str, _HostSlots] = {}

    @asynccontextmanager
    async def of(self, host: str) -> AsyncIterator[None]:
        """Wait for a turn, and have it inside."""
        known = self._hosts.setdefault(host, _HostSlots(asyncio.Semaphore(self._per_host)))
        known.users += 1
        try:
            # The host's turn first: who waits for a busy host must not keep others from theirs.
            async with known.turn, self._total:
                yield
        finally:
            known.users -= 1
            if not known.users:
                del self._hosts[host]
