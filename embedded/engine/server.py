"""The engine's process: own the folder, open the collections, serve, and leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc

from embedded.data_folder import Ownership
from embedded.engine.atomic_files import write_json
from embedded.engine.service.servicer import Servicer
from embedded.engine.store import Store
from embedded.errors import EmbeddedError

_log = logging.getLogger(__name__)

_READERS = 4
# Calls in hand and waiting, together; beyond it a client is told RESOURCE_EXHAUSTED.
_MOST_CALLS = 256
# As a Qdrant server has it.
_LARGEST_REQUEST = 32 * 2**20
# A flush holds the interpreter for as long as it takes, 0.3 to 0.5 s beside other work, and nothing is answered then.
# So it waits for a moment in which nobody asks, though not for ever: what is not flushed is replayed from the engine's
# log at the next start, which takes no longer than the writing took.
_QUIET_S = 1.0
_MOST_REPLAYED_S = 20.0
_IN_FLIGHT_GRACE_S = 1.0
_WATCH_S = 0.25


def run(data: Path, *, host: str, port: int, ready_file: Path | None, optimize: bool) -> None:
    """See embedded.engine.serve."""
    # Conversions are Python and would keep the thread that takes calls waiting for 5 ms, the default, at each of them.
    sys.setswitchinterval(0.001)
    with Ownership(data, "an engine"):
        store = Store(data, optimize=optimize)
        # What is there now stays: the collector need not look through all of it, which takes 55 ms, every time.
        gc.collect()
        gc.freeze()
        try:
            asyncio.run(_serve(store, f"{host}:{port}", ready_file))
        finally:
            store.close()


async def _serve(store: Store, address: str, ready_file: Path | None) -> None:
    stop = _stop_asked_for()
    with (
        ThreadPoolExecutor(1, "writer") as writer,
        ThreadPoolExecutor(_READERS, "reader") as readers,
        ThreadPoolExecutor(1, "other") as others,
    ):
        calls = Servicer(store, writer=writer, readers=readers)
        # Not the asynchronous one: handing each call from its loop to a thread and back costs 0.3 ms of CPU more.
        server = grpc.server(
            others,
            # Without so_reuseport=0 a second engine would share the port and take half of the calls.
            options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", _LARGEST_REQUEST)],
            maximum_concurrent_rpcs=_MOST_CALLS,
        )
        for handler in calls.handlers():
            server.add_generic_rpc_handlers((handler,))
        port = _bind(server, address)
        server.start()
        _tell_ready(port, ready_file)
        flushing = asyncio.create_task(_keep_flushed(store, calls, writer))
        await stop.wait()
        await asyncio.to_thread(server.stop(_IN_FLIGHT_GRACE_S).wait)
        flushing.cancel()


def _stop_asked_for() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set.

    Not the loop's own signal handlers: those end with the loop, and a second SIGTERM would kill the last flush.
    """
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def ask(*_: object) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(stop.set)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)
    return stop


def _bind(server: Any, address: str) -> int:
    try:
        port: int = server.add_insecure_port(address)
    except RuntimeError:
        port = 0
    if not port:
        raise EmbeddedError(f"{address} cannot be bound: another process has the port; name another, or 0 for any.")
    return port


def _tell_ready(port: int, ready_file: Path | None) -> None:
    _log.info("serving on port %d, process %d", port, os.getpid())
    ready = {"port": port, "pid": os.getpid()}
    if ready_file is not None:
        write_json(ready_file, ready)
    else:
        print(json.dumps(ready), flush=True)  # noqa: T201


async def _keep_flushed(store: Store, calls: Servicer, writer: ThreadPoolExecutor) -> None:
    while True:
        await asyncio.sleep(_WATCH_S)
        quiet = time.monotonic() - calls.last_call > _QUIET_S
        if calls.written_s > (0.0 if quiet else _MOST_REPLAYED_S):
            calls.settled()
            try:
                # On the writer's thread: a collection is not dropped or written to meanwhile.
                await asyncio.get_running_loop().run_in_executor(writer, store.flush)
            except Exception:
                # Nothing is lost yet, the engine's log has it; a full disk, say, may be emptied before the next turn.
                _log.exception("the collections could not be flushed")
