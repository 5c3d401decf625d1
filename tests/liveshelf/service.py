"""A search service that listens, for what asks one over HTTP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from threading import Thread

import uvicorn
from starlette.types import ASGIApp

from tests.search.shop import Shop

Opened = Callable[[], AbstractAsyncContextManager[ASGIApp]]


@contextmanager
def listening(opened: Opened) -> Iterator[str]:
    """The address of the app while it answers, in an event loop of its own, in which it is opened and closed."""
    ready: Future[uvicorn.Server] = Future()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        async def serve() -> None:
            async with opened() as app:
                server = uvicorn.Server(uvicorn.Config(app, log_config=None, log_level="warning"))
                ready.set_result(server)  # who connects before it serves waits a moment
                await server.serve([listener])

        def run() -> None:
            try:
                asyncio.run(serve())
            except Exception as error:
                ready.set_exception(error)

        thread = Thread(target=run)
        thread.start()
        try:
            server = ready.result(60)
            try:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            finally:
                server.should_exit = True
        finally:
            thread.join(60)


def of(shop: Shop) -> Opened:
    @asynccontextmanager
    async def opened() -> AsyncIterator[ASGIApp]:
        yield shop.app()

    return opened
