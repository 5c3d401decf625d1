"""The hosts of photos: one server on every loopback address, which violates HTTP on purpose for some photos."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
from collections import Counter
from functools import cache

from tests.chaos.photos import MAX_BYTES, bomb, picture

HANG_S = 20.0
DRIP_S = 0.3
HEALS_AFTER = 3  # requests, which is as many as a put makes


class PhotoHost:
    """Serves `/kind/picture/number`; see tests.chaos.photos. `inward` counts requests to 127.0.0.1, which is forbidden.

    `requests` counts requests by kind.
    """

    def __init__(self) -> None:
        self.port = 0
        self.inward = 0
        self.requests: Counter[str] = Counter()
        self._seen: Counter[str] = Counter()
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "0.0.0.0", 0)  # noqa: S104 -- 127.64.0.0/10 is one of them
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if writer.get_extra_info("sockname")[0] == "127.0.0.1":
                    self.inward += 1
                if not await self._answer(head.split(b" ", 2)[1].decode(), writer):
                    break
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # some photos make the client close the connection
        finally:
            writer.close()

    async def _answer(self, path: str, writer: asyncio.StreamWriter) -> bool:
        """Answers a request. Returns whether the connection may be used again."""
        _, kind, number, _ = path.split("/")
        body = picture(int(number))
        self.requests[kind] += 1
        self._seen[path] += 1
        host = writer.get_extra_info("sockname")[0]
        match kind:
            case "good":
                writer.write(_head(200, len(body)) + body)
            case "chunked":
                writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
            case "flaky" if self._seen[path] == 1:
                writer.write(_head(503, 0))
            case "healing" if self._seen[path] <= HEALS_AFTER:
                writer.write(_head(503, 0))
            case "flaky" | "healing":
                writer.write(_head(200, len(body)) + body)
            case "onward":
                writer.write(_to(f"http://{host}:{self.port}{path.replace('onward', 'good')}"))
            case "inward":
                writer.write(_to(f"http://127.0.0.1:{self.port}{path.replace('inward', 'good')}"))
            case "metadata":
                writer.write(_to("http://169.254.169.254/latest/meta-data/"))
            case "file":
                writer.write(_to("file:///etc/hostname"))
            case "circle":
                writer.write(_to(path))
            case "text":
                writer.write(_head(200, 20) + b"this is not an image")
            case "empty":
                writer.write(_head(200, 0))
            case "bomb":
                writer.write(_head(200, len(bomb())) + bomb())
            case "gzip":
                writer.write(_head(200, len(_zeros()), "content-encoding: gzip") + _zeros())
            case "cut":
                writer.write(_head(200, len(body) // 2) + body)
                return await _ended(writer)
            case "early":
                writer.write(_head(200, len(body)) + body[: len(body) // 2])
                return await _ended(writer)
            case "huge":
                writer.write(_head(200, 10**11) + body)
                return await _ended(writer)
            case "flood":
                return await _flood(writer)
            case "hang":
                await asyncio.sleep(HANG_S)
                return False
            case "drip":
                return await _drip(writer, _head(200, len(body)) + body)
            case "close":
                return False
            case "reset":
                return _reset(writer)
            case _:
                writer.write(_head(int(kind), 2) + b"no")
        await writer.drain()
        return True


def _head(code: int, length: int, *more: str) -> bytes:
    lines = [f"HTTP/1.1 {code} Because", f"content-length: {length}", "content-type: image/jpeg", *more]
    return "\r\n".join([*lines, "", ""]).encode()


def _to(url: str) -> bytes:
    return _head(302, 0, f"location: {url}")


@cache
def _zeros() -> bytes:
    return gzip.compress(bytes(MAX_BYTES * 20))


async def _ended(writer: asyncio.StreamWriter) -> bool:
    await writer.drain()
    return False


async def _flood(writer: asyncio.StreamWriter) -> bool:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    for _ in range(100):
        writer.write(bytes(MAX_BYTES // 10))
        await writer.drain()
    return False


async def _drip(writer: asyncio.StreamWriter, answer: bytes) -> bool:
    for at in range(min(len(answer), int(HANG_S / DRIP_S))):
        writer.write(answer[at : at + 1])
        await writer.drain()
        await asyncio.sleep(DRIP_S)
    return False


def _reset(writer: asyncio.StreamWriter) -> bool:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return False
