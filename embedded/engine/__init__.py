"""Qdrant's own engine in a process of its own, spoken to as a Qdrant server is: gRPC, through qdrant-client.

It serves one machine: loopback only, one shard per collection, one process per data folder. What it does not speak it
refuses by name (UNIMPLEMENTED). Point a client at it with
`QdrantClient(url=engine.url, grpc_port=engine.port, prefer_grpc=True, check_compatibility=False)`.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path

from embedded.errors import EmbeddedError

__all__ = ["serve"]


def serve(
    data: Path,
    port: int = 0,
    ready_file: Path | None = None,
    *,
    host: str = "127.0.0.1",
    optimize: bool = False,
) -> None:
    """Serve the collections in the folder `data` until SIGTERM or SIGINT, then finish what is in flight and return.

    `port` 0 takes any free one. Once it answers, the engine replaces `ready_file` by {"port": ..., "pid": ...}, or
    prints that as one line where there is no file to write. With `optimize` it first builds the graphs that
    collections above some 200,000 points are searched with, which takes minutes, and answers only then.

    A write that was answered outlives a kill -9 of this process. Must be called on the main thread. Raises
    EmbeddedError where the folder is in use or unreadable, the port is taken, or `host` is not a loopback address.
    """
    if not _is_loopback(host):
        raise EmbeddedError(
            f"The embedded engine serves this machine only and {host} is not a loopback address: "
            "use 127.0.0.1, or run a Qdrant server to be reached from elsewhere."
        )
    # Here, so that who only starts the process does not wait for the engine's and the client's libraries to load.
    from embedded.engine.server import run

    run(data, host=host, port=port, ready_file=ready_file, optimize=optimize)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
