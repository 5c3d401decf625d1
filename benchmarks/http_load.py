"""Clients of a search service that cost little themselves: one keep-alive connection each, requests made beforehand."""

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
    """When it was to be asked and how long that took, in seconds; what the service says of it, in milliseconds."""

    at: float
    took: float
    status: int
    encode_ms: float = 0.0
    search_ms: float = 0.0

    @property
    def added_ms(self) -> float:
        """What took neither encoding nor searching: the service itself, and the way there and back."""
        return self.took * 1000 - self.encode_ms - self.search_ms


class Wire:
    """One connection. Raises OSError and EOFError where the service does not answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=2**22))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """The status and body that a request gets."""
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
    """Texts that were never asked before: some words of a title, in another order."""

    def __init__(self, titles: Sequence[str], rng: random.Random) -> None:
        self._titles = titles
        self._rng = rng
        self._met = set[str]()

    def __call__(self) -> str:
        while True:
            words = f"{self._rng.choice(self._titles)} {self._rng.choice(self._titles)}".lower().split()
            text = " ".join(self._rng.sample(words, min(len(words), self._rng.randint(2, 6))))
            if text not in self._met:
                self._met.add(text)
                return text


async def _asked(wire: Wire, request: bytes, at: float) -> Answer:
    status, body = await asyncio.wait_for(wire.ask(request), PATIENCE_S)
    took = time.perf_counter() - at
    if status != 200:
        return Answer(at, took, status)
    said = json.loads(body)["took_ms"]
    return Answer(at, took, status, said["encode"], said["search"])


async def closed_loop(port: int, clients: int, seconds: float, text: Callable[[], str]) -> list[Answer]:
    """So many clients that ask again as soon as they are answered."""
    end = time.perf_counter() + seconds
    answers: list[Answer] = []

    async def client() -> None:
        wire = await Wire.open(port)
        while time.perf_counter() < end:
            request = request_of(text())
            answers.append(await _asked(wire, request, time.perf_counter()))
        wire.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return answers


async def open_loop(
    port: int, rate: float, seconds: float, text: Callable[[], str], *, seed: int = 1, timeout_ms: int | None = None
) -> list[Answer]:
    """Asked at random moments, at a rate, whether or not those before were answered; status 0: no answer at all.

    The time of an answer runs from the moment it was to be asked.
    """
    free: list[Wire] = []
    answers: list[Answer] = []
    tasks: set[asyncio.Task[None]] = set()

    async def one(at: float, request: bytes) -> None:
        used, wire = bool(free), None
        try:
            wire = free.pop() if free else await Wire.open(port)
            try:
                answers.append(await _asked(wire, request, at))
            except (ConnectionError, EOFError):
                if not used:
                    raise
                wire = await Wire.open(port)  # the service closes what was not used for a while, and says so too late
                answers.append(await _asked(wire, request, at))
            free.append(wire)
        except (OSError, EOFError, TimeoutError):
            answers.append(Answer(at, time.perf_counter() - at, 0))
            if wire is not None:
                with suppress(OSError):
                    wire.close()

    began = time.perf_counter()
    for moment in _moments(rate, seconds, random.Random(seed)):
        at = began + moment
        if (wait := at - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        task = asyncio.create_task(one(at, request_of(text(), timeout_ms=timeout_ms)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    for wire in free:
        wire.close()
    return answers


def _moments(rate: float, seconds: float, rng: random.Random) -> Iterator[float]:
    at = rng.expovariate(rate)
    while at < seconds:
        yield at
        at += rng.expovariate(rate)


def ms(answers: Sequence[Answer], percent: float) -> float:
    """A percentile of what the answers took, in milliseconds."""
    return float(np.percentile([answer.took for answer in answers], percent)) * 1000 if answers else float("nan")
