"""Runs the app with uvicorn until a signal stops it."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from catalog.errors import InvalidInput
from resilience.atomic_files import write_atomically

DRAIN_TIMEOUT_S = 10  # seconds for requests in flight to finish after a stop signal


async def serve(
    app: ASGIApp,
    host: str,
    port: int,
    ready_file: Path | None = None,
    *,
    insecure: bool = False,
    on_stop: Callable[[], None] = lambda: None,
) -> None:
    """Serve on host:port until SIGTERM or SIGINT, then finish the requests in flight.

    Port 0 chooses a free port. `ready_file` is written atomically with {"port", "pid"} when the server listens, and
    removed when it stops. `on_stop` is called at the signal, to end streams. Raises InvalidInput if the address cannot
    be listened on, or if other machines can reach it and `insecure` is false. Pass `insecure` only if API keys are
    required or access is controlled elsewhere.
    """
    listener = _listen(host, port, insecure)
    config = uvicorn.Config(
        app,
        # uvicorn prefers httptools if it is installed, but httptools does not limit the length of headers.
        http="h11",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=DRAIN_TIMEOUT_S,
    )
    try:
        await _Server(config, listener, ready_file, on_stop).serve([listener])
    finally:
        listener.close()
        if ready_file is not None:
            await asyncio.to_thread(ready_file.unlink, missing_ok=True)


def check_address(host: str, port: int, *, insecure: bool = False) -> None:
    """Raises InvalidInput if `serve` could not listen there, so that nobody loads a model before."""
    _listen(host, port, insecure).close()


def run(app: ASGIApp, host: str, port: int, ready_file: Path | None = None, *, insecure: bool = False) -> None:
    """Run `serve` in a new event loop."""
    asyncio.run(serve(app, host, port, ready_file, insecure=insecure))


def _listen(host: str, port: int, insecure: bool) -> socket.socket:
    if not 0 <= port <= 65_535:  # the resolver would use the port modulo 65536
        raise InvalidInput(f"{port} is not a port: choose one from 1 to 65535, or 0 for any free port")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        if not insecure and not ipaddress.ip_address(address[0]).is_loopback:
            raise InvalidInput(
                f"{host} can be reached from other machines and queries need no key: create one with `liveshelf keys"
                " add`, listen on 127.0.0.1, or add --insecure if a proxy or a network policy guards this address"
            )
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except BaseException:
            listener.close()
            raise
        return listener
    except OSError as error:
        raise InvalidInput(
            f"{host} port {port} cannot be listened on ({error}): choose another port, or 0 for any free port"
        ) from None


class _Server(uvicorn.Server):
    """uvicorn's server that writes the ready file, and returns after a signal instead of raising the signal again."""

    def __init__(
        self, config: uvicorn.Config, listener: socket.socket, ready_file: Path | None, on_stop: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._on_stop = on_stop
        self._listener = listener
        self._ready_file = ready_file

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._ready_file is not None and self.started:
            ready = {"port": self._listener.getsockname()[1], "pid": os.getpid()}
            await asyncio.to_thread(write_atomically, self._ready_file, json.dumps(ready), fsync=False)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_stop()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
