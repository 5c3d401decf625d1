"""A hostile server over raw sockets: it answers with bytes, or a function uses the socket."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.encoders.images.pictures import JPEG, PNG

Answer = bytes | Callable[[socket.socket], None]
SECOND = 1.2  # longer than any timeout of the table


def reply(body: bytes, *headers: str, code: str = "200 OK", length: object = None) -> bytes:
    head_lines = [f"HTTP/1.1 {code}", "connection: close", *headers]
    if length != "none":
        head_lines.append(f"content-length: {len(body) if length is None else length}")
    return "\r\n".join(head_lines).encode() + b"\r\n\r\n" + body


def go(location: str) -> bytes:
    return reply(b"", f"location: {location}", code="302 Found")


def chunks(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(data), data) for data in parts)


def endless(start: bytes, data: bytes, pause: float = 0.0) -> Callable[[socket.socket], None]:
    """Sends `start`, then `data` repeatedly while the client listens, for a few seconds at most."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(start)
        until = time.monotonic() + 3 * SECOND
        while time.monotonic() < until:
            connection.sendall(data)
            time.sleep(pause)

    return answer


def hang(start: bytes = b"") -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.sendall(start)
        time.sleep(SECOND)

    return answer


def reset(start: bytes = b"") -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.sendall(start)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return answer


OPEN = reply(b"", length="none")
CHUNKED = reply(b"", "transfer-encoding: chunked", length="none")
ANSWERS: dict[str, Answer] = {
    "photo": reply(PNG),
    "relative": go("photo"),
    "no-scheme": go("//10.0.0.1/photo"),
    "loop": go("/loop"),
    "nowhere": reply(b"", code="302 Found"),
    "not-a-url": go("http://[bad/"),
    "longer": reply(PNG[:100], length=len(PNG)),
    "shorter": reply(JPEG, length=len(JPEG) // 2),
    "lying-huge": reply(PNG, length=10**15),
    "absurd": reply(PNG, length="9" * 5000),
    "negative": reply(PNG, length=-5),
    "two-lengths": reply(PNG, "content-length: 3"),
    "endless": endless(OPEN, bytes(65536)),
    "drip": endless(OPEN, b"x", 0.05),
    "drip-headers": endless(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n", 0.05),
    "endless-headers": endless(b"HTTP/1.1 200 OK\r\n", b"x: " + b"y" * 5000 + b"\r\n"),
    "continues": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.02),
    "gzip": reply(gzip.compress(PNG), "content-encoding: gzip"),
    "gzip-bomb": reply(gzip.compress(bytes(50_000_000)), "content-encoding: gzip"),
    "gzip-twice": reply(gzip.compress(gzip.compress(PNG)), "content-encoding: gzip, gzip"),
    "gzip-garbage": reply(b"no gzip at all", "content-encoding: gzip"),
    "brotli": reply(PNG, "content-encoding: br"),
    "text": reply(PNG, "content-type: text/html"),
    "error-page": reply(b"<!doctype html><h1>Not found</h1>", "content-type: image/jpeg"),
    "empty": reply(b""),
    "no-content": reply(b"", code="204 No Content", length="none"),
    "partial": reply(JPEG[: len(JPEG) // 2], "content-range: bytes 0-99/9999", code="206 Partial Content"),
    "chunked": CHUNKED + chunks(PNG[:50], PNG[50:], b""),
    "chunked-garbage": CHUNKED + b"zz\r\nwhat\r\n",
    "chunked-cut": CHUNKED + chunks(PNG[:50]),
    "chunked-endless": endless(CHUNKED, chunks(bytes(65536))),
    "no-http": b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
    "old": b"HTTP/1.0 200 OK\r\n\r\n" + PNG,
    "oldest": PNG,
    "closes": b"",
    "hang-headers": hang(),
    "hang-body": hang(reply(PNG[:50], length=len(PNG))),
    "reset": reset(),
    "reset-body": reset(reply(PNG[:50], length=len(PNG))),
}


class Host(socketserver.ThreadingTCPServer):
    """Answers a request for /name with ANSWERS[name], and redirects one for /to/URL to that URL."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Talk)
        self.answers = dict(ANSWERS)
        self.paths: list[str] = []
        self.heads: list[dict[str, str]] = []
        self.port: int = self.server_address[1]

    def answer(self, path: str) -> Answer:
        kind, _, rest = path.lstrip("/").partition("/")
        match kind:
            case "to":
                return go(rest)
            case "hop":
                return go(f"/hop/{int(rest) - 1}" if int(rest) > 1 else "/photo")
            case "status":
                return reply(b"no", code=f"{rest} Said")
        return self.answers[kind]

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignored: clients that hang up are part of the table."""


class _Talk(socketserver.BaseRequestHandler):
    server: Host

    def handle(self) -> None:
        head = b""
        self.request.settimeout(SECOND)
        with contextlib.suppress(TimeoutError):
            while b"\r\n\r\n" not in head:
                data = self.request.recv(4096)
                if not data:
                    return
                head += data
        path = head.split(b" ")[1].decode() if head.count(b" ") > 1 else ""
        self.server.paths.append(path)
        lines = [line.partition(": ") for line in head.decode("latin-1").split("\r\n")[1:]]
        self.server.heads.append({name.lower(): value for name, _, value in lines})
        answer = self.server.answer(path)
        if isinstance(answer, bytes):
            self.request.sendall(answer)
        else:
            answer(self.request)


@contextmanager
def serving() -> Iterator[Host]:
    host = Host()
    thread = threading.Thread(target=host.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield host
    finally:
        host.shutdown()
        thread.join()
        host.server_close()


@contextmanager
def deaf() -> Iterator[int]:
    """The port of a socket with a full backlog: new connections wait."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in itertools.repeat(None, 3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]
