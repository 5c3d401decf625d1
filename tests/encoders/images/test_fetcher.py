"""Images are fetched from a real server within the policy, and every failure has its state."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.domain.image_state import ImageState
from catalog.errors import ImageProblem
from catalog.ports import ImageSource
from encoders.images import FetchRetryPolicy, ImageFetcher, ImagePolicy

BODY = b"an image, as far as fetching goes"
HERE = ImagePolicy(allow_hosts=("127.0.0.1",), connect_timeout_s=1.0, read_timeout_s=0.5, total_timeout_s=1.0)


class Shop(BaseHTTPRequestHandler):
    """/status/N answers N; /hop/N redirects N times; /to?URL redirects there; the rest as named."""

    protocol_version = "HTTP/1.1"
    peers: set[tuple[str, int]]
    paths: list[str]

    def do_GET(self) -> None:
        type(self).peers.add(self.client_address[:2])
        type(self).paths.append(self.path)
        kind, _, rest = self.path.lstrip("/").partition("/")
        match kind:
            case "status":
                self.answer(int(rest), b"no")
            case "hop":
                self.go(f"/hop/{int(rest) - 1}" if int(rest) > 1 else "/ok")
            case "to":
                self.go(rest)
            case "stumbles":
                self.answer(503 if self.paths.count(self.path) <= int(rest) else 200, BODY)
            case "slow":
                time.sleep(float(rest.partition("?")[0]))
                self.answer(200, BODY)
            case "cookie":
                self.answer(200, (self.headers["cookie"] or "none").encode(), {"set-cookie": "a=b; Path=/"})
            case "drip":
                self.drip()
            case "gzip":
                self.answer(200, gzip.compress(BODY if not rest else bytes(int(rest))), {"content-encoding": "gzip"})
            case "big":
                self.answer(200, bytes(int(rest)))
            case _:
                self.answer(200, BODY)

    def answer(self, code: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def go(self, location: str) -> None:
        self.answer(302, b"", {"location": location})

    def drip(self) -> None:
        """Endless bytes without a length, each sent in time."""
        self.send_response(200)
        self.send_header("connection", "close")
        self.end_headers()
        for _ in range(60):
            self.wfile.write(b"x" * 100)
            time.sleep(0.05)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignored: these tests hang up on purpose."""


@pytest.fixture
def shop() -> Iterator[str]:
    Shop.peers = set()
    Shop.paths = []
    server = Server(("127.0.0.1", 0), Shop)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


async def state(url: str, policy: ImagePolicy = HERE) -> ImageState:
    async with ImageFetcher(policy) as images:
        with pytest.raises(ImageProblem) as caught:
            await images.fetch(url)
    assert len(caught.value.reason.split()) > 3
    return caught.value.state


async def test_the_bytes_come_and_the_connection_is_kept(shop: str) -> None:
    async with ImageFetcher(HERE) as images:
        source: ImageSource = images
        assert [await source.fetch(f"{shop}/ok") for _ in range(3)] == [BODY] * 3
    assert len(Shop.peers) == 1


async def test_the_total_time_is_bounded_although_bytes_keep_coming(shop: str) -> None:
    started = time.monotonic()
    assert await state(f"{shop}/drip") is ImageState.UNAVAILABLE
    assert time.monotonic() - started < 2.0


async def test_bytes_over_the_cap_are_too_large(shop: str) -> None:
    small = ImagePolicy(allow_hosts=("127.0.0.1",), max_bytes=1000)
    assert await state(f"{shop}/big/1001", small) is ImageState.TOO_LARGE
    assert await state(f"{shop}/drip", small) is ImageState.TOO_LARGE
    assert await state(f"{shop}/gzip/1000000", small) is ImageState.TOO_LARGE
    assert await state(f"{shop}/big/0", small) is ImageState.BROKEN
    async with ImageFetcher(small) as images:
        assert len(await images.fetch(f"{shop}/big/1000")) == 1000
        assert await images.fetch(f"{shop}/gzip/") == BODY


async def test_fetches_in_flight_are_bounded(shop: str) -> None:
    policy = ImagePolicy(allow_hosts=("127.0.0.1",), concurrency=2)
    async with ImageFetcher(policy) as images:
        started = time.monotonic()
        await asyncio.gather(*(images.fetch(f"{shop}/slow/0.1") for _ in range(6)))
    assert time.monotonic() - started > 0.25
    assert len(Shop.peers) == 2


async def test_files_are_off_until_a_folder_is_allowed(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "a photo.jpg").write_bytes(BODY)
    (inside / "link.jpg").symlink_to(outside / "a photo.jpg")
    policy = ImagePolicy(file_roots=(inside,), max_bytes=100)
    async with ImageFetcher(policy) as images:
        assert await images.fetch((inside / "a photo.jpg").as_uri()) == BODY
    assert await state((inside / "a photo.jpg").as_uri()) is ImageState.BLOCKED
    for bad in (outside / "a photo.jpg", inside / "link.jpg", outside / "none.jpg"):
        assert await state(bad.as_uri(), policy) is ImageState.BLOCKED
    assert await state(f"file://{inside}/../out/a%20photo.jpg", policy) is ImageState.BLOCKED
    assert await state(f"file://elsewhere{inside}/a%20photo.jpg", policy) is ImageState.BLOCKED
    assert await state((inside / "none.jpg").as_uri(), policy) is ImageState.MISSING
    assert await state(inside.as_uri(), policy) is ImageState.MISSING
    (inside / "big.jpg").write_bytes(bytes(101))
    assert await state((inside / "big.jpg").as_uri(), policy) is ImageState.TOO_LARGE


async def test_data_urls_carry_the_bytes_themselves() -> None:
    packed = base64.b64encode(BODY).decode()
    async with ImageFetcher(HERE) as images:
        assert await images.fetch(f"data:image/jpeg;base64,{packed}") == BODY
        assert await images.fetch(f"data:image/jpeg;base64,{packed.rstrip('=')}") == BODY
        assert await images.fetch("data:,an%20image%2C%20as%20far%20as%20fetching%20goes") == BODY
    assert await state("data:image/jpeg;base64,!!!!") is ImageState.BROKEN
    assert await state("data:image/jpeg;base64") is ImageState.BROKEN
    assert await state("data:image/jpeg;base64,") is ImageState.BROKEN
    assert await state(f"data:,{'x' * 11}", ImagePolicy(max_bytes=10)) is ImageState.TOO_LARGE
    assert await state(f"data:,{'x' * 1000}", ImagePolicy(max_bytes=10)) is ImageState.TOO_LARGE


async def test_a_host_that_stumbles_is_asked_again(shop: str) -> None:
    async with ImageFetcher(HERE, uniform=lambda low, high: low) as images:
        assert await images.fetch(f"{shop}/stumbles/2") == BODY
    assert await state(f"{shop}/stumbles/3") is ImageState.UNAVAILABLE


async def test_a_dead_host_costs_a_few_timeouts_and_not_one_a_product(shop: str) -> None:
    now = 0.0
    policy = ImagePolicy(allow_hosts=("127.0.0.1",), read_timeout_s=0.2, retry=FetchRetryPolicy(initial_s=0.001))
    async with ImageFetcher(policy, clock=lambda: now) as images:
        started = time.monotonic()
        problems = [await caught(images, f"{shop}/slow/0.5?{i}") for i in range(50)]
        assert time.monotonic() - started < 3.0
        assert len(Shop.paths) == policy.breaker.failures
        assert "has failed 5 times in a row; the next request is allowed in 30 s" in problems[-1].reason
        now += policy.breaker.open_s
        assert await images.fetch(f"{shop}/ok") == BODY
        assert await images.fetch(f"{shop}/ok") == BODY


async def caught(images: ImageFetcher, url: str) -> ImageProblem:
    with pytest.raises(ImageProblem) as problem:
        await images.fetch(url)
    assert problem.value.state is ImageState.UNAVAILABLE
    return problem.value


async def test_one_host_is_not_asked_for_everything_at_once_and_keeps_nobody_else_waiting(shop: str) -> None:
    policy = ImagePolicy(allow_hosts=("127.0.0.1", "localhost"), concurrency=3, per_host=2)
    async with ImageFetcher(policy) as images:
        busy = [asyncio.create_task(images.fetch(f"{shop}/slow/0.3?{n}")) for n in range(4)]
        await asyncio.sleep(0.05)
        other = shop.replace("127.0.0.1", "localhost")
        assert await images.fetch(f"{other}/ok") == BODY
        assert not any(task.done() for task in busy)
        assert len([path for path in Shop.paths if path.startswith("/slow")]) == 2
        assert await asyncio.gather(*busy) == [BODY] * 4


ODD = st.text(st.sampled_from("a1.-:/@%?#[]\\\t\n\0 é。\ud800_"), max_size=20)


@settings(deadline=None, max_examples=100)
@given(
    st.sampled_from(["http:", "http://", "https://", "s3://", "s3://b/", "file:", "data:", ""]),
    ODD | st.text(max_size=20),
)
def test_whatever_a_url_is_nothing_but_a_problem_comes_of_it(start: str, rest: str) -> None:
    async def nowhere(host: str, port: int) -> list[str]:
        raise OSError("name not known")

    async def fetch() -> None:
        policy = ImagePolicy(retry=FetchRetryPolicy(tries=1))
        async with ImageFetcher(policy, resolve=nowhere) as images:
            await images.fetch(start + rest)

    with contextlib.suppress(ImageProblem):
        asyncio.run(fetch())


async def test_cookies_are_not_kept(shop: str) -> None:
    async with ImageFetcher(HERE) as images:
        assert [await images.fetch(f"{shop}/cookie") for _ in range(2)] == [b"none"] * 2
