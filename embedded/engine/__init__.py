"""Qdrant's own engine in a process of its own, with the gRPC interface of a Qdrant server, for qdrant-client.

It serves one machine: loopback only, one shard per collection, one process per data folder. It refuses unsupported
requests and fields by name (UNIMPLEMENTED). Connect a client with
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
    """Serve the collections in the folder `data` until SIGTERM or SIGINT, then finish calls in flight and return.

    `port` 0 takes any free one. When the engine answers, it replaces `ready_file` by {"port": ..., "pid": ...}, or
    prints that as one line if `ready_file` is None. With `optimize` it first builds the HNSW graphs of collections
    above some 200,000 points, which takes minutes.

    A write that was answered survives a kill -9 of this process. Must be called on the main thread. Raises
    EmbeddedError if the folder is in use or unreadable, the port is in use, or `host` is not a loopback address.
    """
    if not _is_loopback(host):
        raise EmbeddedError(
            f"The embedded engine serves this machine only and {host} is not a loopback address: "
            "use 127.0.0.1, or run a Qdrant server for other machines."
        )
    # Imported here, so that starting the process does not load the libraries of engine and client.
    from embedded.engine.server import run

    run(data, host=host, port=port, ready_file=ready_file, optimize=optimize)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
