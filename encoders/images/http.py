"""Photos over HTTP: one client with kept connections, a guard at its network, and what was fetched before."""

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

REFUSED = (401, 403, 407, 451)  # the host knows the image and does not give it to us
PASSING = (408, 425, 429)  # said with a 4xx, yet gone when asked again later
NOT_MODIFIED = 304
GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


class HttpImages:
    """Bodies of http(s) URLs, within a policy."""

    def __init__(self, policy: ImagePolicy, resolve: Resolve) -> None:
        self._policy = policy
        self._files = None if policy.cache is None else HttpImageCache(policy.cache)
        guard = EgressGuard(AllowedDestinations(policy.allow_hosts, ports=policy.allow_ports), resolve)
        self._client = httpx.AsyncClient(
            transport=GuardedTransport(guard, connections=policy.concurrency, ca_file=policy.ca_file),
            timeout=httpx.Timeout(policy.read_timeout_s, connect=policy.connect_timeout_s),
            follow_redirects=True,
            max_redirects=policy.max_redirects,
            headers={"user-agent": policy.user_agent, "accept": "image/*", "accept-encoding": "identity"},
            # A photo needs no cookie, and a jar that every host may put into grows for ever.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            trust_env=False,
        )

    async def aclose(self) -> None:
        await self._client.aclose()
        if self._files is not None:
            await self._files.aclose()

    async def kept(self, url: str) -> CachedImage | None:
        """What was fetched before."""
        return None if self._files is None else await self._files.get(url)

    async def get(self, url: str, host: str, within_s: float, kept: CachedImage | None) -> bytes:
        """The body, or that of `kept` where its host says that it is the same. Raises ImageProblem."""
        try:
            async with asyncio.timeout(within_s), self._client.stream("GET", url, headers=_conditions(kept)) as answer:
                if answer.status_code == NOT_MODIFIED and kept is not None:
                    return await self._unchanged(url, host, kept, answer)
                _check(answer, host)
                body = capped(_unpacked(answer, await self._body(answer), self._policy), self._policy)
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
        # What came from where this URL sends on to has validators of that place, and the place may change.
        if self._files is not None and not answer.history:
            await self._files.put(url, body, answer.headers)
        return body

    async def _unchanged(self, url: str, host: str, kept: CachedImage, answer: httpx.Response) -> bytes:
        assert self._files is not None  # noqa: S101  nothing is kept without it
        if answer.history:
            await self._files.drop(url)
            said = f"{host} sends on now, to a place that compared another image with ours"
            raise ImageProblem(ImageState.UNAVAILABLE, said)
        named = {"etag": kept.etag, "last-modified": kept.modified}
        await self._files.put(url, kept.body, {n: v for n, v in named.items() if v} | dict(answer.headers))
        return kept.body

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


def _conditions(kept: CachedImage | None) -> dict[str, str]:
    return {} if kept is None else kept.conditions


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
    return text[:20] if text.isascii() and text.isdigit() else "0"
