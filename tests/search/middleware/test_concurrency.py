"""Too much at once, over real sockets: a process with one turn, two places to wait and a query that takes long."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

ASK = {"text": "mug"}
HEAD = b"POST /v1/search HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
PROGRAM = """
import asyncio, sys
from pathlib import Path
from search import SearchPolicy, run
from tests.search.shop import Overlap, stocked

class Told(Overlap):
    async def encode_query(self, *, text, image):
        try:
            print("asked", text, flush=True)
            self.delay = 0.3 if text == "mug" else 30.0
            return await super().encode_query(text=text, image=image)
        except asyncio.CancelledError:
            print("cancelled", text, flush=True)
            raise

shop = stocked()
shop.encoder = Told()
shop.policy = SearchPolicy(max_in_flight=1, max_waiting=2, queue_timeout_s=5, answer_timeout_s=20)
run(shop.app(), "127.0.0.1", 0, Path(sys.argv[1]))
"""


@pytest.fixture
def child(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    ready = tmp_path / "ready.json"
    command = [sys.executable, "-W", "error", "-c", PROGRAM, str(ready)]
    root = Path(__file__).parents[3]
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        deadline = time.monotonic() + 60
        while not ready.exists():
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield process, json.loads(ready.read_text())["port"]
    finally:
        process.kill()
        process.communicate()


def sent(port: int, text: str) -> socket.socket:
    body = json.dumps({"text": text}).encode()
    client = socket.create_connection(("127.0.0.1", port), timeout=20)
    client.sendall(HEAD % len(body) + body)
    return client


def test_what_a_client_asked_ends_when_it_leaves_and_its_turn_is_free(child: tuple[subprocess.Popen[str], int]) -> None:
    process, port = child
    assert process.stdout is not None
    leaves = sent(port, "long")
    assert process.stdout.readline() == "asked long\n"
    waits = sent(port, "longer")
    time.sleep(0.3)
    waits.close()
    time.sleep(0.1)
    leaves.close()
    started = time.monotonic()
    assert httpx.post(f"http://127.0.0.1:{port}/v1/search", json=ASK, timeout=20).status_code == 200
    assert time.monotonic() - started < 15, "the query that was left would have taken half a minute"
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=20)[0]
    assert output == "cancelled long\nasked mug\n", "who left while waiting never had a turn"


def test_of_ten_at_once_three_are_answered_and_afterwards_all_is_well(
    child: tuple[subprocess.Popen[str], int],
) -> None:
    _, port = child
    url = f"http://127.0.0.1:{port}/v1/search"
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: httpx.post(url, json=ASK, timeout=20), range(10)))
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 429}
    assert statuses.count(200) >= 3
    assert all(answer.headers["retry-after"] for answer in answers if answer.status_code == 429)
    assert httpx.post(url, json=ASK, timeout=20).status_code == 200


def test_who_sends_slowly_has_nobodys_turn(child: tuple[subprocess.Popen[str], int]) -> None:
    _, port = child
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(8)]
    for client in slow:
        client.sendall(HEAD % 99 + b"{")
    assert httpx.post(f"http://127.0.0.1:{port}/v1/search", json=ASK, timeout=20).status_code == 200
    for client in slow:
        client.close()
