"""Photos that were fetched before, on disk, so that a host is only asked whether they have changed.

One SQLite file, which several processes share. A photo's place is a digest of its URL, for URLs carry tokens. Whatever
goes wrong with the file is a miss: the cache can be deleted at any time.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from encoders.images.freshness import LONGEST_S, fresh_s, may_keep

T = TypeVar("T")

SCHEMA = """CREATE TABLE IF NOT EXISTS photos (
    url BLOB PRIMARY KEY, etag TEXT NOT NULL, modified TEXT NOT NULL, fresh_until REAL NOT NULL, used REAL NOT NULL,
    crc INTEGER NOT NULL, body BLOB NOT NULL)"""
IN_USE = (
    "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
)
OLDEST = "DELETE FROM photos WHERE url IN (SELECT url FROM photos ORDER BY used LIMIT 16)"
BUSY_S = 2.0
TOUCH_S = 3600.0


@dataclass(frozen=True, slots=True)
class HttpCachePolicy:
    """The file, and the bytes of photos it may hold; those unused for longest go first."""

    path: Path
    max_bytes: int


@dataclass(frozen=True, slots=True)
class CachedImage:
    """A photo as it was, what its host calls that state of it, and whether it may be used without asking."""

    body: bytes
    etag: str
    modified: str
    fresh: bool

    @property
    def conditions(self) -> dict[str, str]:
        """Request headers that ask for the photo only if it is another now."""
        asked = {"if-none-match": self.etag, "if-modified-since": self.modified}
        return {name: value for name, value in asked.items() if value}


class HttpImageCache:
    """The cache, as one process uses it, in a thread of its own."""

    def __init__(self, policy: HttpCachePolicy, *, now: Callable[[], float] = time.time) -> None:
        """`now` gives seconds since the epoch: processes and restarts must agree on it."""
        self._policy = policy
        self._now = now
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="photo-files")
        self._base: sqlite3.Connection | None = None

    async def aclose(self) -> None:
        await self._run(self._forget, None)
        self._thread.shutdown()

    async def get(self, url: str) -> CachedImage | None:
        """What is kept of a URL, None where nothing is."""
        return await self._run(lambda: self._get(_place(url)), None)

    async def put(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Keep a photo, where the `headers` it came with (names in lower case) allow that and help to ask again."""
        if not may_keep(headers) or len(body) > self._policy.max_bytes:
            return await self.drop(url)
        now = self._now()
        etag, modified = headers.get("etag", ""), headers.get("last-modified", "")
        row = (_place(url), etag, modified, now + fresh_s(headers), now, zlib.crc32(body), body)
        await self._run(lambda: self._put(row), None)

    async def drop(self, url: str) -> None:
        await self._run(lambda: self._do("DELETE FROM photos WHERE url = ?", _place(url)), None)

    async def _run(self, act: Callable[[], T], otherwise: T) -> T:
        def guarded() -> T:
            try:
                return act()
            except (sqlite3.OperationalError, OSError):
                return otherwise  # locked for long, a full disk, a folder that is not ours: another time, perhaps
            except sqlite3.Error:
                self._begin_anew()
                return otherwise

        return await asyncio.get_running_loop().run_in_executor(self._thread, guarded)

    def _do(self, sql: str, *values: object) -> None:
        with self._open() as base:
            base.execute(sql, values)

    def _open(self) -> sqlite3.Connection:
        if self._base is None:
            self._policy.path.parent.mkdir(parents=True, exist_ok=True)
            base = sqlite3.connect(self._policy.path, timeout=BUSY_S, check_same_thread=False)
            try:
                # A photo that is lost in a crash is fetched again: no write waits for the disk.
                for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=OFF", SCHEMA):
                    base.execute(statement)
            except sqlite3.Error:
                base.close()
                raise
            self._base = base
        return self._base

    def _get(self, place: bytes) -> CachedImage | None:
        base = self._open()
        columns = "etag, modified, fresh_until, used, crc, body"
        row = base.execute(f"SELECT {columns} FROM photos WHERE url = ?", (place,)).fetchone()  # noqa: S608
        if row is None:
            return None
        etag, modified, fresh_until, used, crc, body = row
        if not isinstance(body, bytes) or zlib.crc32(body) != crc:
            self._do("DELETE FROM photos WHERE url = ?", place)
            return None
        now = self._now()
        if used < now - TOUCH_S:
            self._do("UPDATE photos SET used = ? WHERE url = ?", now, place)
        # A clock that was set back must not keep a photo fresh for longer than any host may ask.
        return CachedImage(body, str(etag), str(modified), now < fresh_until <= now + LONGEST_S)

    def _put(self, row: tuple[object, ...]) -> None:
        self._do("INSERT OR REPLACE INTO photos VALUES (?, ?, ?, ?, ?, ?, ?)", *row)
        base = self._open()
        while base.execute(IN_USE).fetchone()[0] > self._policy.max_bytes:
            with base:
                if not base.execute(OLDEST).rowcount:
                    return

    def _begin_anew(self) -> None:
        """The file is no database, or a broken one. Others that have it open go on with what they have."""
        self._forget()
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                self._policy.path.with_name(self._policy.path.name + suffix).unlink()

    def _forget(self) -> None:
        if self._base is not None:
            self._base.close()
            self._base = None


def _place(url: str) -> bytes:
    return sha256(url.encode(errors="surrogatepass")).digest()
