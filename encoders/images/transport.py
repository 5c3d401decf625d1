"""An httpx transport over a connection pool with an egress guard."""

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
    def __init__(self, stream: AsyncIterable[bytes], response: httpcore.Response) -> None:
        self._stream = stream
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._stream:
                yield chunk
        except FAILURES as err:
            raise _translated(err) from err

    async def aclose(self) -> None:
        await self._response.aclose()


class GuardedTransport(httpx.AsyncBaseTransport):
    """HTTP/2 if a host offers it over TLS, else HTTP/1.1 with keep-alive, to addresses that `guard` allows.

    There are `connections` at most. `ca_file` is a certificate authority, trusted in addition to the public ones.
    """

    def __init__(self, guard: EgressGuard, *, connections: int, ca_file: Path | None = None) -> None:
        context = ssl.create_default_context()
        if ca_file is not None:
            context.load_verify_locations(ca_file)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            http2=True,
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=KEEPALIVE_S,
            network_backend=GuardedBackend(guard),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)  # noqa: S101  an async client sends no other kind
        url = request.url
        pool_request = httpcore.Request(
            method=request.method,
            url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        try:
            response = await self._pool.handle_async_request(pool_request)
        except FAILURES as err:
            raise _translated(err) from err
        assert isinstance(response.stream, AsyncIterable)  # noqa: S101
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Body(response.stream, response),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


def _translated(err: Exception) -> httpx.TransportError:
    """The error of httpx that corresponds to an error of httpcore."""
    if isinstance(err, httpcore.TimeoutException):
        return httpx.TimeoutException(str(err))
    if isinstance(err, httpcore.UnsupportedProtocol):
        return httpx.UnsupportedProtocol(str(err))
    return httpx.NetworkError(str(err) or type(err).__name__)
