"""httpx over a connection pool whose network is guarded."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path

import httpcore
import httpx

from encoders.images.egress_guard import EgressGuard, GuardedBackend

KEEPALIVE_S = 30.0
FAILURES = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
)


class _Body(httpx.AsyncByteStream):
    def __init__(self, stream: AsyncIterable[bytes], close: httpcore.Response) -> None:
        self._stream = stream
        self._response = close

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._stream:
                yield part
        except FAILURES as err:
            raise _told(err) from err

    async def aclose(self) -> None:
        await self._response.aclose()


class GuardedTransport(httpx.AsyncBaseTransport):
    """HTTP/2 where a host offers it over TLS, else HTTP/1.1 with keep-alive, to addresses that `guard` lets through.

    There are `connections` at most. `ca_file` is an authority that is trusted beside the public ones.
    """

    def __init__(self, guard: EgressGuard, *, connections: int, ca_file: Path | None = None) -> None:
        trusted = ssl.create_default_context()
        if ca_file is not None:
            trusted.load_verify_locations(ca_file)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=trusted,
            http2=True,
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=KEEPALIVE_S,
            network_backend=GuardedBackend(guard),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)  # noqa: S101  an async client makes no other
        url = request.url
        asked = httpcore.Request(
            method=request.method,
            url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        try:
            answer = await self._pool.handle_async_request(asked)
        except FAILURES as err:
            raise _told(err) from err
        assert isinstance(answer.stream, AsyncIterable)  # noqa: S101
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_Body(answer.stream, answer),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


def _told(err: Exception) -> httpx.TransportError:
    """A failure of the pool as httpx would say it."""
    if isinstance(err, httpcore.TimeoutException):
        return httpx.TimeoutException(str(err))
    if isinstance(err, httpcore.UnsupportedProtocol):
        return httpx.UnsupportedProtocol(str(err))
    return httpx.NetworkError(str(err) or type(err).__name__)
