"""Creates the gRPC client of a Qdrant address."""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

from qdrant_client import AsyncQdrantClient

from catalog.errors import InvalidInput

GRPC_PORT = 6334

# By default gRPC waits up to two minutes before it reconnects to a server.
RECONNECT = {"grpc.initial_reconnect_backoff_ms": 200, "grpc.max_reconnect_backoff_ms": 2000}


def connect(url: str, *, api_key: str | None, timeout_s: float) -> AsyncQdrantClient:
    """A client of the Qdrant at `url`; nothing is sent before the first call.

    `url` is the address of Qdrant's gRPC port, such as http://127.0.0.1:6334 (the default port is 6334); https turns
    TLS on. `timeout_s` is the deadline of calls about collections, rounded up to whole seconds. Raises InvalidInput if
    the URL is invalid. Close the client with `await client.close()`, in the event loop that used it.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or GRPC_PORT
    except ValueError as error:
        raise InvalidInput(
            f"{url!r} is not an address of Qdrant ({error}); give one like http://127.0.0.1:6334"
        ) from error
    if parts.scheme not in ("http", "https") or not host or parts.path.strip("/"):
        raise InvalidInput(f"{url!r} is not an address of Qdrant's gRPC port; give one like http://127.0.0.1:6334")
    return AsyncQdrantClient(
        host=f"[{host}]" if ":" in host else host,
        grpc_port=port,
        https=parts.scheme == "https",
        prefer_grpc=True,
        check_compatibility=False,
        timeout=max(1, round(timeout_s + 0.5)),
        grpc_options=dict(RECONNECT),
        # For the unused REST client: an empty trust store, which avoids loading the system's certificates.
        verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        # As a header: with `api_key` the client warns about http, which is common inside a cluster.
        headers={"api-key": api_key} if api_key else None,
    )
