"""Load clients of a search service with a low cost of their own: one keep-alive connection each, prebuilt requests."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

import numpy as np

PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """The due time and the latency in seconds; the service's own timings in milliseconds. Status 0: no response."""

    at: float
    took: float
    status: int
    encode_ms: float = 0.0
    search_ms: float = 0.0

    @property
    def added_ms(self) -> float:
        """The latency without encoding and searching: the service itself and the network."""
        return self.took * 1000 - self.encode_ms - self.search_ms


class Connection:
    """One connection. Raises OSError or EOFError if the service does not answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=2**22))

    async def request(self, request: bytes) -> tuple[int, bytes]:
        """Sends a request. Returns the status and the body of the response."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        return int(head[9:12]), await self._reader.readexactly(length)

    def close(self) -> None:
        self._writer.close()


def request_of(text: str, *, limit: int = 20, timeout_ms: int | None = None) -> bytes:
    body = json.dumps({"text": text, "limit": limit}).encode()
    deadline = f"x-timeout-ms: {timeout_ms}\r\n" if timeout_ms else ""
    head = (
        "POST /v1/search HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"{deadline}content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Words:
    """Query texts that never repeat: words of two titles in random order."""

    def __init__(self, titles: Sequence[str], rng: random.Random) -> None:
        self._titles = titles
        self._rng = rng
        self._used = set[str]()

    def __call__(self) -> str:
        while True:
            words = f"{self._rng.choice(self._titles)} {self._rng.choice(self._titles)}".lower().split()
            text = " ".join(self._rng.sample(words, min(len(words), self._rng.randint(2, 6))))
            if text not in self._used:
                self._used.add(text)
                return text


async def _timed(connection: Connection, request: bytes, at: float) -> Answer:
    status, body = await asyncio.wait_for(connection.request(request), PATIENCE_S)
    took = time.perf_counter() - at
    if status != 200:
        return Answer(at, took, status)
    took_ms = json.loads(body)["took_ms"]
    return Answer(at, took, status, took_ms["encode"], took_ms["search"])


async def closed_loop(port: int, clients: int, seconds: float, text: Callable[[], str]) -> list[Answer]:
    """Runs `clients` clients, each sending its next request as soon as it has the response (a closed loop)."""
    end = time.perf_counter() + seconds
    answers: list[Answer] = []

    async def client() -> None:
        connection = await Connection.open(port)
        while time.perf_counter() < end:
            request = request_of(text())
            answers.append(await _timed(connection, request, time.perf_counter()))
        connection.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return answers


async def open_loop(
    port: int, rate: float, seconds: float, text: Callable[[], str], *, seed: int = 1, timeout_ms: int | None = None
) -> list[Answer]:
    """Sends requests at random times, `rate` a second on average, without waiting for responses (an open loop).

    Latency counts from the time a request was due. Status 0 means no response.
    """
    free: list[Connection] = []
    answers: list[Answer] = []
    tasks: set[asyncio.Task[None]] = set()

    async def send(at: float, request: bytes) -> None:
        reused, connection = bool(free), None
        try:
            connection = free.pop() if free else await Connection.open(port)
            try:
                answers.append(await _timed(connection, request, at))
            except (ConnectionError, EOFError):
                if not reused:
                    raise
                connection = await Connection.open(port)  # the service closed the idle connection just now
                answers.append(await _timed(connection, request, at))
            free.append(connection)
        except (OSError, EOFError, TimeoutError):
            answers.append(Answer(at, time.perf_counter() - at, 0))
            if connection is not None:
                with suppress(OSError):
                    connection.close()

    started = time.perf_counter()
    for moment in _moments(rate, seconds, random.Random(seed)):
        at = started + moment
        if (wait := at - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        task = asyncio.create_task(send(at, request_of(text(), timeout_ms=timeout_ms)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    for connection in free:
        connection.close()
    return answers


def _moments(rate: float, seconds: float, rng: random.Random) -> Iterator[float]:
    at = rng.expovariate(rate)
    while at < seconds:
        yield at
        at += rng.expovariate(rate)


def ms(answers: Sequence[Answer], percent: float) -> float:
    """A percentile of the latencies, in milliseconds."""
    return float(np.percentile([answer.took for answer in answers], percent)) * 1000 if answers else float("nan")
