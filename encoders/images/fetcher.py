"""The bytes behind a photo's URL, or a state and a sentence that say why there are none."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TypeVar
from urllib.parse import urlsplit

from catalog.domain.image_state import ImageState
from catalog.errors import ImageProblem
from encoders.images.concurrency import FetchLimiter
from encoders.images.egress_guard import Resolve, resolve
from encoders.images.host_circuits import HostCircuits
from encoders.images.http import HttpImages
from encoders.images.local import capped, read_data, read_file, too_large
from encoders.images.policy import ImagePolicy
from encoders.images.retry import retry_fetch
from encoders.images.s3 import S3Images

T = TypeVar("T")

THIS_MACHINE = ""
SHORT = 64 * 1024
"""Of a data: URL: reading it takes less than handing it to another thread."""

HALF = re.compile("[\ud800-\udfff]")  # JSON can spell a surrogate alone; no address can


class ImageFetcher:
    """Photos from http(s), s3, file and data URLs within a policy. Implements catalog.ports.ImageSource.

    One client with kept-alive connections serves all fetches; close it with `aclose` or use `async with`.
    """

    def __init__(
        self,
        policy: ImagePolicy,
        *,
        resolve: Resolve = resolve,
        clock: Callable[[], float] = time.monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """`clock` gives seconds; `uniform` draws the wait before a host is asked again."""
        self._policy = policy
        self._clock = clock
        self._uniform = uniform
        self._breakers = HostCircuits(policy.breaker, clock=clock)
        self._turns = FetchLimiter(total=policy.concurrency, per_host=policy.per_host)
        self._web = HttpImages(policy, resolve)
        waits = {"connect_timeout_s": policy.connect_timeout_s, "read_timeout_s": policy.read_timeout_s}
        self._s3 = S3Images(policy.s3, **waits)

    async def __aenter__(self) -> ImageFetcher:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, err: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections. Fetches in flight fail."""
        self._s3.aclose()
        await self._web.aclose()

    async def fetch(self, url: str) -> bytes:
        """The bytes behind a URL, at most `max_bytes`. Raises ImageProblem."""
        if HALF.search(url):
            raise ImageProblem(ImageState.MISSING, "the image's address is not a URL: half a character is in it")
        scheme = url.partition(":")[0].lower() if ":" in url else ""
        if scheme in self._policy.allowed_schemes:
            match scheme:
                case "data" if len(url) <= SHORT:
                    return read_data(url, self._policy)
                case "data":
                    return await self._read(read_data, url)
                case "file":
                    return await self._read(read_file, url)
                case "s3":
                    return await self._object(url)
                case "http" | "https":
                    return await self._download(url)
        said = f"{scheme}: URLs are not allowed" if scheme.isalnum() else "this is not a URL"
        allowed = ", ".join(self._policy.allowed_schemes)
        raise ImageProblem(ImageState.BLOCKED, f"{said}: an image is given as one of {allowed}")

    async def _read(self, read: Callable[[str, ImagePolicy], bytes], url: str) -> bytes:
        async with self._turns.of(THIS_MACHINE):
            return await asyncio.to_thread(read, url, self._policy)

    async def _object(self, url: str) -> bytes:
        place = self._s3.place(url)
        most = self._policy.max_bytes
        data = await self._patiently(f"s3://{place.partition('/')[0]}", lambda left: self._s3.read(place, most, left))
        if data is None:
            raise too_large(self._policy)
        return capped(data, self._policy)

    async def _download(self, url: str) -> bytes:
        kept = await self._web.kept(url)
        if kept is not None and kept.fresh:
            return kept.body
        host = _host(url)

        async def get(left: float) -> bytes:
            nonlocal kept
            had, kept = kept, None  # asked with conditions once: another try is for the photo itself
            return await self._web.get(url, host, left, had)

        return await self._patiently(host, get)

    async def _patiently(self, host: str, get: Callable[[float], Awaitable[T]]) -> T:
        """What `get` brings within the seconds it is given, from a host that may need to be asked more than once.

        Waits for a turn take none of the time.
        """
        left = self._policy.total_timeout_s

        async def ask() -> T:
            nonlocal left
            async with self._turns.of(host):
                with self._breakers.asking(host):
                    started = self._clock()
                    try:
                        return await get(left)
                    finally:
                        left -= self._clock() - started

        return await retry_fetch(ask, self._policy.again, time_left=lambda: left, uniform=self._uniform)


def _host(url: str) -> str:
    """The host alone: paths and queries of image URLs carry tokens that belong into no log."""
    try:
        return urlsplit(url).hostname or "the host"
    except ValueError:
        return "the host"
