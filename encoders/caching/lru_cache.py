"""A least-recently-used cache with bounds on entries and on bytes."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from operator import itemgetter
from typing import Generic, TypeVar

from cachetools import LRUCache

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LruCache(Generic[K, V]):
    """At most `entries` values of at most `max_bytes` in all. Any thread may use it."""

    def __init__(self, *, entries: int, max_bytes: int) -> None:
        self._max_entries = entries
        self._max_bytes = max_bytes
        # cachetools bounds the sum of sizes alone; each value is stored with its own.
        self._entries: LRUCache[K, tuple[V, int]] = LRUCache(max_bytes, getsizeof=itemgetter(1))
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def bytes(self) -> int:
        return int(self._entries.currsize)

    def get(self, key: K) -> V | None:
        with self._lock:
            entry = self._entries.get(key)
        return None if entry is None else entry[0]

    def put(self, key: K, value: V, size: int) -> None:
        """`size` is in bytes. A value larger than `max_bytes` is not stored."""
        if size > self._max_bytes:
            return
        with self._lock:
            self._entries[key] = value, size
            while len(self._entries) > self._max_entries:
                self._entries.popitem()
