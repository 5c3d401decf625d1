"""Photos over HTTP: one client with kept-alive connections, an egress guard and an optional cache on disk."""

from __future__ import annotations

import asyncio
import zlib
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from catalog.domain.image_state import ImageState
from catalog.errors import ImageProblem
from encoders.images.egress_guard import AllowedDestinations, EgressGuard, Resolve
from encoders.images.http_cache import CachedImage, HttpImageCache
from encoders.images.local import capped, too_large
from encoders.images.policy import ImagePolicy
from encoders.images.transport import GuardedTransport

REFUSED = (401, 403, 407, 451)  # the host has the image and denies access
TEMPORARY = (408, 425, 429)  # a 4xx that may succeed later
NOT_MODIFIED = 304
GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


class HttpImages:
    """Bodies of http(s) URLs, within a policy."""

    def __init__(self, policy: ImagePolicy, resolve: Resolve) -> None:
        self._policy = policy
        self._cache = None if policy.cache is None else HttpImageCache(policy.cache)
        guard = EgressGuard(AllowedDestinations(policy.allow_hosts, ports=policy.allow_ports), resolve)
        self._client = httpx.AsyncClient(
            transport=GuardedTransport(guard, connections=policy.concurrency, ca_file=policy.ca_file),
            timeout=httpx.Timeout(policy.read_timeout_s, connect=policy.connect_timeout_s),
            follow_redirects=True,
            max_redirects=policy.max_redirects,
            headers={"user-agent": policy.user_agent, "accept": "image/*", "accept-encoding": "identity"},
            # A photo needs no cookie, and a jar that every host may write to grows without limit.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            trust_env=False,
        )

    async def aclose(self) -> None:
        await self._client.aclose()
        if self._cache is not None:
            await self._cache.aclose()

    async def cached(self, url: str) -> CachedImage | None:
        """The cached photo of a URL, or None."""
        return None if self._cache is None else await self._cache.get(url)

    async def get(self, url: str, host: str, timeout_s: float, cached: CachedImage | None) -> bytes:
        """The body, or that of `cached` if its host says that it has not changed. Raises ImageProblem."""
        conditions = {} if cached is None else cached.conditions
        try:
            async with asyncio.timeout(timeout_s), self._client.stream("GET", url, headers=conditions) as response:
                if response.status_code == NOT_MODIFIED and cached is not None:
                    return await self._unchanged(url, host, cached, response)
                _check_status(response, host)
                body = capped(_decompressed(response, await self._body(response), self._policy), self._policy)
        except (TimeoutError, httpx.TimeoutException) as err:
            raise ImageProblem(ImageState.UNAVAILABLE, f"{host} did not send the image in time") from err
        except httpx.UnsupportedProtocol as err:
            raise ImageProblem(ImageState.BLOCKED, f"{host} redirects to an address that is not http(s)") from err
        except httpx.TooManyRedirects as err:
            limit = self._policy.max_redirects
            raise ImageProblem(ImageState.BLOCKED, f"{host} redirects more than {limit} times") from err
        except httpx.InvalidURL as err:
            raise ImageProblem(ImageState.MISSING, f"the image's address is not a URL: {err}") from err
        except httpx.HTTPError as err:
            raise ImageProblem(ImageState.UNAVAILABLE, f"{host} could not be reached: {err}") from err
        # After a redirect the validators belong to the redirect's target, which may change.
        if self._cache is not None and not response.history:
            await self._cache.put(url, body, response.headers)
        return body

    async def _unchanged(self, url: str, host: str, cached: CachedImage, response: httpx.Response) -> bytes:
        assert self._cache is not None  # noqa: S101  there is no cached image without it
        if response.history:
            await self._cache.drop(url)
            reason = f"{host} redirects now, to an address that compared another image with the cached one"
            raise ImageProblem(ImageState.UNAVAILABLE, reason)
        validators = {"etag": cached.etag, "last-modified": cached.modified}
        headers = {name: value for name, value in validators.items() if value} | dict(response.headers)
        await self._cache.put(url, cached.body, headers)
        return cached.body

    async def _body(self, response: httpx.Response) -> bytes:
        """The bytes as they were sent; stops reading at `max_bytes`."""
        if int(_digits(response.headers.get("content-length", ""))) > self._policy.max_bytes:
            raise too_large(self._policy)
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.aiter_raw():
            size += len(chunk)
            if size > self._policy.max_bytes:
                raise too_large(self._policy)
            chunks.append(chunk)
        return b"".join(chunks)


def _check_status(response: httpx.Response, host: str) -> None:
    code = response.status_code
    if response.is_success:
        return
    if code >= 500 or code in TEMPORARY:
        raise ImageProblem(ImageState.UNAVAILABLE, f"{host} answered {code}: it does not serve the image now")
    if code in REFUSED:
        raise ImageProblem(ImageState.BLOCKED, f"{host} answered {code}: it denies access to the image")
    raise ImageProblem(ImageState.MISSING, f"{host} answered {code}: it has no such image")


def _decompressed(response: httpx.Response, data: bytes, policy: ImagePolicy) -> bytes:
    """The image without a compression that was not requested; at most one byte over `max_bytes`."""
    encoding = response.headers.get("content-encoding", "identity").lower()
    if encoding == "identity":
        return data
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise ImageProblem(ImageState.BROKEN, f"the image is compressed as {encoding}, which was not requested")
    try:
        return zlib.decompressobj(GZIP_OR_ZLIB).decompress(data, policy.max_bytes + 1)
    except zlib.error as err:
        raise ImageProblem(ImageState.BROKEN, f"the image is compressed as {encoding} and damaged: {err}") from err


def _digits(text: str) -> str:
    return text[:20] if text.isascii() and text.isdigit() else "0"
