"""What stands between the workers and the engine: connections that can be cut, and calls that can be late or fail."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import grpc

MOST = 64 * 2**20
OPTIONS = [
    ("grpc.max_receive_message_length", MOST),
    ("grpc.max_send_message_length", MOST),
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
class Weather:
    """What calls meet now: a delay of up to `slow` seconds, and the chances of failing before and after the engine.

    `seen` counts what befell calls.
    """

    chance: random.Random
    slow: float = 0.0
    before: float = 0.0
    after: float = 0.0
    seen: Counter[str] = field(default_factory=Counter)

    def calm(self) -> None:
        self.slow = self.before = self.after = 0.0

    @contextmanager
    def during(self, **what: float) -> Iterator[None]:
        """While inside, these are so; whatever else was so stays."""
        for name, value in what.items():
            setattr(self, name, value)
        try:
            yield
        finally:
            for name in what:
                setattr(self, name, 0.0)


class _Anything(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Passes every unary call on as bytes."""

    def __init__(self, channel: Any, weather: Weather) -> None:
        self._channel = channel
        self._weather = weather

    def service(self, details: Any) -> Any:
        async def pass_on(request: bytes, context: Any) -> bytes:
            weather = self._weather
            if weather.slow:
                weather.seen["slow"] += 1
                await asyncio.sleep(weather.chance.uniform(0, weather.slow))
            if weather.chance.random() < weather.before:
                weather.seen["failed before"] += 1
                await context.abort(weather.chance.choice(CODES), "chaos, before")
            try:
                call = self._channel.unary_unary(details.method)
                answer: bytes = await call(request, timeout=context.time_remaining(), metadata=_ours(details))
            except grpc.aio.AioRpcError as error:
                await context.abort(error.code(), error.details() or "")
            if weather.chance.random() < weather.after:
                weather.seen["failed after"] += 1
                await context.abort(weather.chance.choice(CODES), "chaos, after")
            return answer

        return grpc.unary_unary_rpc_method_handler(pass_on)


def _ours(details: Any) -> list[tuple[str, str]]:
    return [(k, v) for k, v in details.invocation_metadata if k == "api-key"]


class Calls:
    """The pass-through for gRPC calls, on `port`."""

    def __init__(self, weather: Weather) -> None:
        self._weather = weather
        self.port = 0

    async def start(self, engine_port: int) -> None:
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{engine_port}", options=OPTIONS)
        self._server = grpc.aio.server(options=OPTIONS)
        self._server.add_generic_rpc_handlers((_Anything(self._channel, self._weather),))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(0)
        await self._channel.close()


class Wire:
    """The pass-through for bytes, on `port`; `cut` breaks every connection there is, `broken` counts them."""

    def __init__(self) -> None:
        self.port = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.broken = 0

    async def start(self, port: int) -> None:
        self._to = port
        self._server = await asyncio.start_server(self._welcome, "127.0.0.1", 0)
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

    def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._to)
            await asyncio.gather(_pump(reader, back), _pump(there, writer))
        except OSError:
            writer.transport.abort()
        finally:
            self._open.discard(writer)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while some := await reader.read(65536):
            writer.write(some)
            await writer.drain()
    finally:
        with suppress(OSError):
            writer.close()
