"""Checks whether a broker answers, by one request of Kafka's protocol, without a client library."""

from __future__ import annotations

import socket
import struct

API_VERSIONS = 18
CORRELATION = 7
# Header version 1 of the request: key, version, correlation id, and a client id that is null.
REQUEST = struct.pack(">hhih", API_VERSIONS, 0, CORRELATION, -1)


def answers(port: int, *, timeout: float = 0.5) -> bool:
    """True if the broker on 127.0.0.1:`port` answers an ApiVersions request without an error in `timeout` seconds."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout) as connection:
            connection.sendall(struct.pack(">i", len(REQUEST)) + REQUEST)
            with connection.makefile("rb") as stream:
                head = stream.read(10)
    except OSError:
        return False
    if len(head) < 10:
        return False
    _, correlation, error = struct.unpack(">iih", head)
    return (correlation, error) == (CORRELATION, 0)


def free_port() -> int:
    """A port of 127.0.0.1 that is free now; another process may take it before it is used."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def in_use(port: int) -> bool:
    """True if 127.0.0.1:`port` cannot be listened on now."""
    with socket.socket() as probe:
        # As Java does: a port with old connections in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
        return False
