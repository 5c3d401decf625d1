"""The engine's process: locks the folder, opens the collections, serves, and closes them."""

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
# Running and waiting calls together. Further calls get RESOURCE_EXHAUSTED.
_MAX_CALLS = 256
# The limit of a Qdrant server.
_MAX_REQUEST_BYTES = 32 * 2**20
# A flush keeps the interpreter's lock for 0.3 to 0.5 s under load, and no call is answered meanwhile. So it waits until
# no call has come for a second, but not for ever: unflushed writes are replayed from the engine's log at the next
# start, which takes no longer than the writes took.
_QUIET_S = 1.0
_MAX_REPLAY_S = 20.0
_IN_FLIGHT_GRACE_S = 1.0
_FLUSH_CHECK_S = 0.25


def run(data: Path, *, host: str, port: int, ready_file: Path | None, optimize: bool) -> None:
    """See embedded.engine.serve."""
    # Conversions are Python code. With the default of 5 ms each would make the thread that accepts calls wait so long.
    sys.setswitchinterval(0.001)
    with Ownership(data, "an engine"):
        store = Store(data, optimize=optimize)
        # Present objects stay for good. Frozen, they do not cost the collector 55 ms each time.
        gc.collect()
        gc.freeze()
        try:
            asyncio.run(_serve(store, f"{host}:{port}", ready_file))
        finally:
            store.close()


async def _serve(store: Store, address: str, ready_file: Path | None) -> None:
    stop = _stop_event()
    with (
        ThreadPoolExecutor(1, "writer") as writer,
        ThreadPoolExecutor(_READERS, "reader") as readers,
        ThreadPoolExecutor(1, "other") as others,
    ):
        servicer = Servicer(store, writer=writer, readers=readers)
        # Not the asynchronous server, which spends 0.3 ms of CPU more to hand each call to a thread and back.
        server = grpc.server(
            others,
            # Without so_reuseport=0 a second engine would share the port and take half of the calls.
            options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", _MAX_REQUEST_BYTES)],
            maximum_concurrent_rpcs=_MAX_CALLS,
        )
        for handler in servicer.handlers():
            server.add_generic_rpc_handlers((handler,))
        port = _bind(server, address)
        server.start()
        _announce(port, ready_file)
        flushing = asyncio.create_task(_keep_flushed(store, servicer, writer))
        await stop.wait()
        await asyncio.to_thread(server.stop(_IN_FLIGHT_GRACE_S).wait)
        flushing.cancel()


def _stop_event() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set.

    Not the loop's own signal handlers: those end with the loop, and a second SIGTERM would kill the last flush.
    """
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def on_signal(*_: object) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(stop.set)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    return stop


def _bind(server: Any, address: str) -> int:
    try:
        port: int = server.add_insecure_port(address)
    except RuntimeError:
        port = 0
    if not port:
        raise EmbeddedError(f"{address} cannot be bound: another process has the port; name another, or 0 for any.")
    return port


def _announce(port: int, ready_file: Path | None) -> None:
    _log.info("serving on port %d, process %d", port, os.getpid())
    ready = {"port": port, "pid": os.getpid()}
    if ready_file is not None:
        write_json(ready_file, ready)
    else:
        print(json.dumps(ready), flush=True)  # noqa: T201


async def _keep_flushed(store: Store, servicer: Servicer, writer: ThreadPoolExecutor) -> None:
    while True:
        await asyncio.sleep(_FLUSH_CHECK_S)
        quiet = time.monotonic() - servicer.last_call > _QUIET_S
        if servicer.unflushed_s > (0.0 if quiet else _MAX_REPLAY_S):
            servicer.start_flush()
            try:
                # On the writer's thread, so that no collection is dropped or written to meanwhile.
                await asyncio.get_running_loop().run_in_executor(writer, store.flush)
            except Exception:
                # Nothing is lost: the engine's log has the writes. A full disk may have space at the next try.
                _log.exception("the collections could not be flushed")
