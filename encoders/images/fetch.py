"""The bytes behind a photo's URL, or a state and a sentence that say why there are none."""

from __future__ import annotations

import asyncio
import random
import time
import zlib
from collections.abc import Callable
from types import TracebackType
from urllib.parse import urlsplit

import httpx

from catalog.errors import ImageProblem
from catalog.product import ImageState
from encoders.images.again import again
from encoders.images.breaker import Breakers
from encoders.images.guard import Allowed, Guard, Resolve, resolve
from encoders.images.local import capped, read_data, read_file, too_large
from encoders.images.policy import ImagePolicy
from encoders.images.transport import GuardedTransport

REFUSED = (401, 403, 407, 451)  # the host knows the image and does not give it to us
PASSING = (408, 425, 429)  # said with a 4xx, yet gone when asked again later
GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


class Images:
    """Photos from http(s), file: and data: URLs within a policy. Implements catalog.ports.ImageSource.

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
        self._breakers = Breakers(policy.breaker, clock=clock)
        self._turn = asyncio.Semaphore(policy.concurrency)
        wait = httpx.Timeout(policy.read_timeout_s, connect=policy.connect_timeout_s)
        guard = Guard(Allowed(policy.allow_hosts), resolve)
        self._client = httpx.AsyncClient(
            transport=GuardedTransport(guard, connections=policy.concurrency),
            timeout=wait,
            follow_redirects=True,
            max_redirects=policy.max_redirects,
            headers={"user-agent": policy.user_agent, "accept": "image/*", "accept-encoding": "identity"},
            trust_env=False,
        )

    async def __aenter__(self) -> Images:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, err: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections. Fetches in flight fail."""
        await self._client.aclose()

    async def fetch(self, url: str) -> bytes:
        """The bytes behind a URL, at most `max_bytes`. Raises ImageProblem."""
        scheme = url.partition(":")[0].lower() if ":" in url else ""
        if scheme not in self._policy.allowed_schemes:
            said = f"{scheme}: URLs are not allowed" if scheme.isalnum() else "this is not a URL"
            allowed = ", ".join(self._policy.allowed_schemes)
            raise ImageProblem(ImageState.BLOCKED, f"{said}: an image is given as one of {allowed}")
        match scheme:
            case "data":
                return await self._read(read_data, url)
            case "file":
                return await self._read(read_file, url)
            case "http" | "https":
                return await self._download(url)
        raise ImageProblem(ImageState.BLOCKED, f"{scheme}: URLs cannot be fetched yet: give an http(s) address")

    async def _read(self, read: Callable[[str, ImagePolicy], bytes], url: str) -> bytes:
        async with self._turn:
            return await asyncio.to_thread(read, url, self._policy)

    async def _download(self, url: str) -> bytes:
        """The body, from a host that may need to be asked more than once. Waits for a turn take none of the time."""
        host = _host(url)
        left = self._policy.total_timeout_s

        async def ask() -> bytes:
            nonlocal left
            async with self._turn:
                with self._breakers.asking(host):
                    started = self._clock()
                    try:
                        return await self._ask(url, host, left)
                    finally:
                        left -= self._clock() - started

        return await again(ask, self._policy.again, time_left=lambda: left, uniform=self._uniform)

    async def _ask(self, url: str, host: str, within_s: float) -> bytes:
        try:
            async with asyncio.timeout(within_s), self._client.stream("GET", url) as answer:
                _check(answer, host)
                return capped(_unpacked(answer, await self._body(answer), self._policy), self._policy)
        except (TimeoutError, httpx.TimeoutException) as err:
            raise ImageProblem(ImageState.UNAVAILABLE, f"{host} did not send the image in time") from err
        except httpx.UnsupportedProtocol as err:
            raise ImageProblem(ImageState.BLOCKED, f"{host} sends on to an address that is not http(s)") from err
        except httpx.TooManyRedirects as err:
            most = self._policy.max_redirects
            raise ImageProblem(ImageState.BLOCKED, f"{host} sends on more than {most} times") from err
        except httpx.InvalidURL as err:
            raise ImageProblem(ImageState.MISSING, f"the image's address is not a URL: {err}") from err
        except httpx.HTTPError as err:
            raise ImageProblem(ImageState.UNAVAILABLE, f"{host} could not be reached: {err}") from err

    async def _body(self, answer: httpx.Response) -> bytes:
        """What was sent, as it was sent; stops reading at the cap."""
        if int(_digits(answer.headers.get("content-length", ""))) > self._policy.max_bytes:
            raise too_large(self._policy)
        parts: list[bytes] = []
        size = 0
        async for part in answer.aiter_raw():
            size += len(part)
            if size > self._policy.max_bytes:
                raise too_large(self._policy)
            parts.append(part)
        return b"".join(parts)


def _check(answer: httpx.Response, host: str) -> None:
    code = answer.status_code
    if answer.is_success:
        return
    if code >= 500 or code in PASSING:
        raise ImageProblem(ImageState.UNAVAILABLE, f"{host} answered {code}: it does not serve the image now")
    if code in REFUSED:
        raise ImageProblem(ImageState.BLOCKED, f"{host} answered {code}: it does not let us have the image")
    raise ImageProblem(ImageState.MISSING, f"{host} answered {code}: it has no such image")


def _unpacked(answer: httpx.Response, data: bytes, policy: ImagePolicy) -> bytes:
    """The image out of a compression that was not asked for, never more than one byte over the cap."""
    how = answer.headers.get("content-encoding", "identity").lower()
    if how == "identity":
        return data
    if how not in ("gzip", "x-gzip", "deflate"):
        raise ImageProblem(ImageState.BROKEN, f"the image came compressed as {how}, which was not asked for")
    try:
        return zlib.decompressobj(GZIP_OR_ZLIB).decompress(data, policy.max_bytes + 1)
    except zlib.error as err:
        raise ImageProblem(ImageState.BROKEN, f"the image came compressed as {how}, and badly: {err}") from err


def _digits(text: str) -> str:
    return text if text.isascii() and text.isdigit() else "0"


def _host(url: str) -> str:
    """The host alone: paths and queries of image URLs carry tokens that belong into no log."""
    try:
        return urlsplit(url).hostname or "the host"
    except ValueError:
        return "the host"
