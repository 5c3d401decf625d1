"""Photos on disk that were fetched before, so that a host only needs to say whether a photo has changed.

One SQLite file, which several processes share. A photo's key is a digest of its URL, because URLs carry tokens. Any
problem with the file is a cache miss: the file can be deleted at any time.
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

T = TypeVar("T")

SCHEMA = """CREATE TABLE IF NOT EXISTS photos (
    url BLOB PRIMARY KEY, etag TEXT NOT NULL, modified TEXT NOT NULL, fresh_until REAL NOT NULL, used REAL NOT NULL,
    crc INTEGER NOT NULL, body BLOB NOT NULL)"""
IN_USE = (
    "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
)
DELETE_OLDEST = "DELETE FROM photos WHERE url IN (SELECT url FROM photos ORDER BY used LIMIT 16)"
BUSY_S = 2.0
TOUCH_S = 3600.0
MAX_FRESH_S = 365 * 86_400


@dataclass(frozen=True, slots=True)
class HttpCachePolicy:
    """The file, and the bytes of photos it may hold. The least recently used photos are deleted first."""

    path: Path
    max_bytes: int


@dataclass(frozen=True, slots=True)
class CachedImage:
    """A photo with its host's validators. If `fresh`, it may be used without a request."""

    body: bytes
    etag: str
    modified: str
    fresh: bool

    @property
    def conditions(self) -> dict[str, str]:
        """Request headers that ask for the photo only if it has changed."""
        headers = {"if-none-match": self.etag, "if-modified-since": self.modified}
        return {name: value for name, value in headers.items() if value}


class HttpImageCache:
    """The cache as one process uses it, in a thread of its own."""

    def __init__(self, policy: HttpCachePolicy, *, now: Callable[[], float] = time.time) -> None:
        """`now` gives seconds since the epoch: processes and restarts must agree on it."""
        self._policy = policy
        self._now = now
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="http-image-cache")
        self._connection: sqlite3.Connection | None = None

    async def aclose(self) -> None:
        await self._run(self._disconnect, None)
        self._thread.shutdown()

    async def get(self, url: str) -> CachedImage | None:
        """The cached photo of a URL, or None."""
        return await self._run(lambda: self._get(_key(url)), None)

    async def put(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Store a photo if its response headers (names in lower case) allow that and make it useful."""
        if not _may_store(headers) or len(body) > self._policy.max_bytes:
            return await self.drop(url)
        now = self._now()
        etag, modified = headers.get("etag", ""), headers.get("last-modified", "")
        row = (_key(url), etag, modified, now + _fresh_seconds(headers), now, zlib.crc32(body), body)
        await self._run(lambda: self._put(row), None)

    async def drop(self, url: str) -> None:
        await self._run(lambda: self._execute("DELETE FROM photos WHERE url = ?", _key(url)), None)

    async def _run(self, action: Callable[[], T], default: T) -> T:
        def guarded() -> T:
            try:
                return action()
            except (sqlite3.OperationalError, OSError):
                return default  # a long lock, a full disk or a folder without permission may heal
            except sqlite3.Error:
                self._delete_file()
                return default

        return await asyncio.get_running_loop().run_in_executor(self._thread, guarded)

    def _execute(self, sql: str, *values: object) -> None:
        with self._connect() as connection:
            connection.execute(sql, values)

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None:
            self._policy.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self._policy.path, timeout=BUSY_S, check_same_thread=False)
            try:
                # A photo that is lost in a crash is fetched again: no write waits for the disk.
                for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=OFF", SCHEMA):
                    connection.execute(statement)
            except sqlite3.Error:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _get(self, key: bytes) -> CachedImage | None:
        connection = self._connect()
        columns = "etag, modified, fresh_until, used, crc, body"
        row = connection.execute(f"SELECT {columns} FROM photos WHERE url = ?", (key,)).fetchone()  # noqa: S608
        if row is None:
            return None
        etag, modified, fresh_until, used, crc, body = row
        if not isinstance(body, bytes) or zlib.crc32(body) != crc:
            self._execute("DELETE FROM photos WHERE url = ?", key)
            return None
        now = self._now()
        if used < now - TOUCH_S:
            self._execute("UPDATE photos SET used = ? WHERE url = ?", now, key)
        # The upper bound: a clock that was set back must not keep a photo fresh for longer than a host may ask.
        return CachedImage(body, str(etag), str(modified), now < fresh_until <= now + MAX_FRESH_S)

    def _put(self, row: tuple[object, ...]) -> None:
        self._execute("INSERT OR REPLACE INTO photos VALUES (?, ?, ?, ?, ?, ?, ?)", *row)
        connection = self._connect()
        while connection.execute(IN_USE).fetchone()[0] > self._policy.max_bytes:
            with connection:
                if not connection.execute(DELETE_OLDEST).rowcount:
                    return

    def _delete_file(self) -> None:
        """Delete a file that is not a database, or is damaged. Processes that have it open continue with theirs."""
        self._disconnect()
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                self._policy.path.with_name(self._policy.path.name + suffix).unlink()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _key(url: str) -> bytes:
    return sha256(url.encode(errors="surrogatepass")).digest()


def _may_store(headers: Mapping[str, str]) -> bool:
    """Whether the response may be stored, and whether that can ever save a transfer."""
    if "no-store" in _directives(headers) or headers.get("vary", "").strip() == "*":
        return False
    return bool(headers.get("etag") or headers.get("last-modified") or _fresh_seconds(headers))


def _fresh_seconds(headers: Mapping[str, str]) -> float:
    """The seconds for which the photo may be used without a request; 0 if the host does not say."""
    directives = _directives(headers)
    max_age = _whole_number(directives.get("max-age", ""))
    if "no-cache" in directives:
        return 0.0
    return float(max(0, min(max_age, MAX_FRESH_S) - _whole_number(headers.get("age", ""))))


def _directives(headers: Mapping[str, str]) -> dict[str, str]:
    parts = (part.partition("=") for part in headers.get("cache-control", "").lower().split(","))
    return {name.strip(): value.strip(' "') for name, _, value in parts}


def _whole_number(text: str) -> int:
    return int(text[:10]) if text.isascii() and text.isdigit() else 0
