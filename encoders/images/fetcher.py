"""Fetches the bytes of a photo's URL, or raises a state and a sentence that say what is wrong."""

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
SHORT_DATA_URL = 64 * 1024
"""Up to this length a data: URL is read faster than it is handed to another thread."""

LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # valid in JSON, but not in a URL


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
        """`clock` gives seconds; `uniform` draws the wait before a retry."""
        self._policy = policy
        self._clock = clock
        self._uniform = uniform
        self._circuits = HostCircuits(policy.breaker, clock=clock)
        self._limiter = FetchLimiter(total=policy.concurrency, per_host=policy.per_host)
        self._http = HttpImages(policy, resolve)
        self._s3 = S3Images(policy.s3, connect_timeout_s=policy.connect_timeout_s, read_timeout_s=policy.read_timeout_s)

    async def __aenter__(self) -> ImageFetcher:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections. Fetches in flight fail."""
        self._s3.aclose()
        await self._http.aclose()

    async def fetch(self, url: str) -> bytes:
        """The bytes of a URL, at most `max_bytes`. Raises ImageProblem."""
        if LONE_SURROGATE.search(url):
            raise ImageProblem(ImageState.MISSING, "the image's address is not a URL: half a character is in it")
        scheme = url.partition(":")[0].lower() if ":" in url else ""
        if scheme in self._policy.allowed_schemes:
            match scheme:
                case "data" if len(url) <= SHORT_DATA_URL:
                    return read_data(url, self._policy)
                case "data":
                    return await self._in_thread(read_data, url)
                case "file":
                    return await self._in_thread(read_file, url)
                case "s3":
                    return await self._s3_object(url)
                case "http" | "https":
                    return await self._download(url)
        reason = f"{scheme}: URLs are not allowed" if scheme.isalnum() else "this is not a URL"
        allowed = ", ".join(self._policy.allowed_schemes)
        raise ImageProblem(ImageState.BLOCKED, f"{reason}: an image is given as one of {allowed}")

    async def _in_thread(self, read: Callable[[str, ImagePolicy], bytes], url: str) -> bytes:
        async with self._limiter.slot(THIS_MACHINE):
            return await asyncio.to_thread(read, url, self._policy)

    async def _s3_object(self, url: str) -> bytes:
        path = self._s3.path_of(url)
        max_bytes = self._policy.max_bytes
        bucket = f"s3://{path.partition('/')[0]}"
        data = await self._with_retries(bucket, lambda seconds: self._s3.read(path, max_bytes, seconds))
        if data is None:
            raise too_large(self._policy)
        return capped(data, self._policy)

    async def _download(self, url: str) -> bytes:
        cached = await self._http.cached(url)
        if cached is not None and cached.fresh:
            return cached.body
        host = _host(url)

        async def get(seconds: float) -> bytes:
            nonlocal cached
            known, cached = cached, None  # only the first attempt is conditional: a retry fetches the photo itself
            return await self._http.get(url, host, seconds, known)

        return await self._with_retries(host, get)

    async def _with_retries(self, host: str, get: Callable[[float], Awaitable[T]]) -> T:
        """The result of `get`, which receives the seconds that are left, after retries if they are needed.

        Time spent waiting for a slot does not count.
        """
        seconds_left = self._policy.total_timeout_s

        async def attempt() -> T:
            nonlocal seconds_left
            async with self._limiter.slot(host):
                with self._circuits.guard(host):
                    started = self._clock()
                    try:
                        return await get(seconds_left)
                    finally:
                        seconds_left -= self._clock() - started

        return await retry_fetch(attempt, self._policy.retry, time_left=lambda: seconds_left, uniform=self._uniform)


def _host(url: str) -> str:
    """The host alone: paths and queries of image URLs carry tokens that must not be logged."""
    try:
        return urlsplit(url).hostname or "the host"
    except ValueError:
        return "the host"
