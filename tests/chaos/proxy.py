"""Proxies between workers and engine: one cuts connections, one delays calls or makes them fail."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import grpc

MAX_BYTES = 64 * 2**20
OPTIONS = [
    ("grpc.max_receive_message_length", MAX_BYTES),
    ("grpc.max_send_message_length", MAX_BYTES),
    ("grpc.so_reuseport", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
]
CODES = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)


@dataclass
class CallFaults:
    """Present faults of calls: a delay of up to `slow` seconds, and the chances of failing before and after the engine.

    `seen` counts the affected calls.
    """

    chance: random.Random
    slow: float = 0.0
    before: float = 0.0
    after: float = 0.0
    seen: Counter[str] = field(default_factory=Counter)

    def calm(self) -> None:
        self.slow = self.before = self.after = 0.0

    @contextmanager
    def during(self, **faults: float) -> Iterator[None]:
        """Sets these faults inside the block, and leaves others unchanged."""
        for name, value in faults.items():
            setattr(self, name, value)
        try:
            yield
        finally:
            for name in faults:
                setattr(self, name, 0.0)


class _AnyCall(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Forwards every unary call as bytes."""

    def __init__(self, channel: Any, call_faults: CallFaults) -> None:
        self._channel = channel
        self._call_faults = call_faults

    def service(self, details: Any) -> Any:
        async def forward(request: bytes, context: Any) -> bytes:
            call_faults = self._call_faults
            if call_faults.slow:
                call_faults.seen["slow"] += 1
                await asyncio.sleep(call_faults.chance.uniform(0, call_faults.slow))
            if call_faults.chance.random() < call_faults.before:
                call_faults.seen["failed before"] += 1
                await context.abort(call_faults.chance.choice(CODES), "chaos, before")
            try:
                call = self._channel.unary_unary(details.method)
                response: bytes = await call(request, timeout=context.time_remaining(), metadata=_api_key(details))
            except grpc.aio.AioRpcError as error:
                await context.abort(error.code(), error.details() or "")
            if call_faults.chance.random() < call_faults.after:
                call_faults.seen["failed after"] += 1
                await context.abort(call_faults.chance.choice(CODES), "chaos, after")
            return response

        return grpc.unary_unary_rpc_method_handler(forward)


def _api_key(details: Any) -> list[tuple[str, str]]:
    return [(k, v) for k, v in details.invocation_metadata if k == "api-key"]


class GrpcProxy:
    """A proxy of gRPC calls, on `port`."""

    def __init__(self, call_faults: CallFaults) -> None:
        self._call_faults = call_faults
        self.port = 0

    async def start(self, engine_port: int) -> None:
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{engine_port}", options=OPTIONS)
        self._server = grpc.aio.server(options=OPTIONS)
        self._server.add_generic_rpc_handlers((_AnyCall(self._channel, self._call_faults),))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(0)
        await self._channel.close()


class TcpProxy:
    """A proxy of TCP connections, on `port`; `cut` breaks all present connections, `broken` counts them."""

    def __init__(self) -> None:
        self.port = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.broken = 0

    async def start(self, port: int) -> None:
        self._to = port
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        self.broken += len(self._open)
        for writer in list(self._open):
            writer.transport.abort()

    async def stop(self) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            upstream, back = await asyncio.open_connection("127.0.0.1", self._to)
            await asyncio.gather(_pump(reader, back), _pump(upstream, writer))
        except OSError:
            writer.transport.abort()
        finally:
            self._open.discard(writer)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    finally:
        with suppress(OSError):
            writer.close()
