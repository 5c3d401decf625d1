"""Limits the number of concurrent fetches, in total and for each host."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class _HostSlots:
    slots: asyncio.Semaphore
    users: int = 0


class FetchLimiter:
    """At most `total` fetches at once, at most `per_host` of them from one host. Only hosts in use take memory."""

    def __init__(self, *, total: int, per_host: int) -> None:
        self._total = asyncio.Semaphore(total)
        self._per_host = per_host
        self._hosts: dict[str, _HostSlots] = {}

    @asynccontextmanager
    async def slot(self, host: str) -> AsyncIterator[None]:
        """Wait for a slot of the host and hold it inside."""
        entry = self._hosts.setdefault(host, _HostSlots(asyncio.Semaphore(self._per_host)))
        entry.users += 1
        try:
            # The host's slot first: a fetch that waits for a busy host must not take a slot from other hosts.
            async with entry.slots, self._total:
                yield
        finally:
            entry.users -= 1
            if not entry.users:
                del self._hosts[host]
