"""Images are fetched from a real server within the policy, and every failure has its state."""

from __future__ import annotations

import asyncio
import base64
import gzip
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from catalog.errors import ImageProblem
from catalog.ports import ImageSource
from catalog.product import ImageState
from encoders.images import AgainPolicy, ImagePolicy, Images
from encoders.images.guard import is_public

BODY = b"an image, as far as fetching goes"
HERE = ImagePolicy(allow_hosts=("127.0.0.1",), connect_timeout_s=1.0, read_timeout_s=0.5, total_timeout_s=1.0)


class Shop(BaseHTTPRequestHandler):
    """/status/N answers N; /hop/N redirects N times; /to?URL redirects there; the rest as named."""

    protocol_version = "HTTP/1.1"
    peers: set[tuple[str, int]]
    asked: list[str]

    def do_GET(self) -> None:
        type(self).peers.add(self.client_address[:2])
        type(self).asked.append(self.path)
        kind, _, rest = self.path.lstrip("/").partition("/")
        match kind:
            case "status":
                self.answer(int(rest), b"no")
            case "hop":
                self.go(f"/hop/{int(rest) - 1}" if int(rest) > 1 else "/ok")
            case "to":
                self.go(rest)
            case "stumbles":
                self.answer(503 if self.asked.count(self.path) <= int(rest) else 200, BODY)
            case "slow":
                time.sleep(float(rest.partition("?")[0]))
                self.answer(200, BODY)
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

    def go(self, where: str) -> None:
        self.answer(302, b"", {"location": where})

    def drip(self) -> None:
        """Bytes without end and without a length, each in good time."""
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
        """A client that hangs up is what these tests are about."""


@pytest.fixture
def shop() -> Iterator[str]:
    Shop.peers = set()
    Shop.asked = []
    server = Server(("127.0.0.1", 0), Shop)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


async def state(url: str, policy: ImagePolicy = HERE) -> ImageState:
    async with Images(policy) as images:
        with pytest.raises(ImageProblem) as caught:
            await images.fetch(url)
    assert len(caught.value.reason.split()) > 3
    return caught.value.state


async def test_the_bytes_come_and_the_connection_is_kept(shop: str) -> None:
    async with Images(HERE) as images:
        source: ImageSource = images
        assert [await source.fetch(f"{shop}/ok") for _ in range(3)] == [BODY] * 3
    assert len(Shop.peers) == 1


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (404, ImageState.MISSING),
        (410, ImageState.MISSING),
        (400, ImageState.MISSING),
        (401, ImageState.BLOCKED),
        (403, ImageState.BLOCKED),
        (451, ImageState.BLOCKED),
        (408, ImageState.UNAVAILABLE),
        (429, ImageState.UNAVAILABLE),
        (500, ImageState.UNAVAILABLE),
        (503, ImageState.UNAVAILABLE),
    ],
)
async def test_what_the_host_answers_decides_the_state(shop: str, code: int, expected: ImageState) -> None:
    assert await state(f"{shop}/status/{code}") is expected


async def test_redirects_are_followed_up_to_the_bound(shop: str) -> None:
    async with Images(HERE) as images:
        assert await images.fetch(f"{shop}/hop/3") == BODY
    assert await state(f"{shop}/hop/4") is ImageState.BLOCKED


async def test_slowness_is_unavailable(shop: str) -> None:
    assert await state(f"{shop}/slow/0.8") is ImageState.UNAVAILABLE


async def test_the_total_time_is_bounded_although_bytes_keep_coming(shop: str) -> None:
    started = time.monotonic()
    assert await state(f"{shop}/drip") is ImageState.UNAVAILABLE
    assert time.monotonic() - started < 2.0


async def test_nobody_listening_is_unavailable(shop: str) -> None:
    assert await state("http://127.0.0.1:1/x.jpg") is ImageState.UNAVAILABLE


async def test_bytes_over_the_cap_are_too_large(shop: str) -> None:
    small = ImagePolicy(allow_hosts=("127.0.0.1",), max_bytes=1000)
    assert await state(f"{shop}/big/1001", small) is ImageState.TOO_LARGE
    assert await state(f"{shop}/drip", small) is ImageState.TOO_LARGE
    assert await state(f"{shop}/gzip/1000000", small) is ImageState.TOO_LARGE
    assert await state(f"{shop}/big/0", small) is ImageState.BROKEN
    async with Images(small) as images:
        assert len(await images.fetch(f"{shop}/big/1000")) == 1000
        assert await images.fetch(f"{shop}/gzip/") == BODY


async def test_addresses_that_are_not_public_are_blocked(shop: str) -> None:
    assert await state(f"{shop}/ok", ImagePolicy()) is ImageState.BLOCKED
    port = shop.rpartition(":")[2]
    assert await state(f"http://localhost:{port}/ok", ImagePolicy()) is ImageState.BLOCKED
    assert await state(f"http://[::ffff:127.0.0.1]:{port}/ok", ImagePolicy()) is ImageState.BLOCKED
    assert await state("http://169.254.169.254/latest/meta-data") is ImageState.BLOCKED


async def test_a_redirect_does_not_get_around_the_guard(shop: str) -> None:
    assert await state(f"{shop}/to/http://10.0.0.1/x.jpg") is ImageState.BLOCKED
    assert await state(f"{shop}/to/file:///etc/passwd") is ImageState.BLOCKED


async def test_the_address_that_was_checked_is_the_one_connected_to(shop: str) -> None:
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    async with Images(HERE, resolve=rebinding) as images:
        assert await images.fetch(f"http://photos.example:{shop.rpartition(':')[2]}/ok") == BODY
    assert asked == ["photos.example"]


async def test_hosts_are_allowed_by_name_and_by_network(shop: str) -> None:
    port = shop.rpartition(":")[2]
    for allowed in (("localhost",), ("127.0.0.0/8", "::1")):
        async with Images(ImagePolicy(allow_hosts=allowed)) as images:
            assert await images.fetch(f"http://localhost:{port}/ok") == BODY


def test_private_addresses_are_seen_through_ipv6() -> None:
    from ipaddress import ip_address

    private = ("127.0.0.1", "10.1.2.3", "100.64.0.1", "0.0.0.0", "224.0.0.1", "::1", "fe80::1", "fd00::1")  # noqa: S104
    carried = ("::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::")
    assert not any(is_public(ip_address(a)) for a in (*private, *carried))
    assert all(is_public(ip_address(a)) for a in ("8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"))


async def test_an_unknown_host_is_unavailable() -> None:
    async def nothing(host: str, port: int) -> list[str]:
        raise OSError("name not known")

    async with Images(HERE, resolve=nothing) as images:
        with pytest.raises(ImageProblem, match=r"nowhere\.example") as caught:
            await images.fetch("http://nowhere.example/x.jpg")
    assert caught.value.state is ImageState.UNAVAILABLE


async def test_fetches_in_flight_are_bounded(shop: str) -> None:
    policy = ImagePolicy(allow_hosts=("127.0.0.1",), concurrency=2)
    async with Images(policy) as images:
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
    async with Images(policy) as images:
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
    async with Images(HERE) as images:
        assert await images.fetch(f"data:image/jpeg;base64,{packed}") == BODY
        assert await images.fetch(f"data:image/jpeg;base64,{packed.rstrip('=')}") == BODY
        assert await images.fetch("data:,an%20image%2C%20as%20far%20as%20fetching%20goes") == BODY
    assert await state("data:image/jpeg;base64,!!!!") is ImageState.BROKEN
    assert await state("data:image/jpeg;base64") is ImageState.BROKEN
    assert await state("data:image/jpeg;base64,") is ImageState.BROKEN
    assert await state(f"data:,{'x' * 11}", ImagePolicy(max_bytes=10)) is ImageState.TOO_LARGE
    assert await state(f"data:,{'x' * 1000}", ImagePolicy(max_bytes=10)) is ImageState.TOO_LARGE


@pytest.mark.parametrize("url", ["ftp://example.com/a.jpg", "s3://bucket/a.jpg", "images/a.jpg", "", "javascript:x"])
async def test_other_schemes_are_blocked(url: str) -> None:
    assert await state(url) is ImageState.BLOCKED


@pytest.mark.parametrize("url", ["http://", "http://[bad/x", "http://a b/x"])
async def test_an_address_that_is_none_has_a_state_too(url: str) -> None:
    assert await state(url) in (ImageState.MISSING, ImageState.UNAVAILABLE, ImageState.BLOCKED)


async def test_a_host_that_stumbles_is_asked_again(shop: str) -> None:
    async with Images(HERE, uniform=lambda low, high: low) as images:
        assert await images.fetch(f"{shop}/stumbles/2") == BODY
    assert await state(f"{shop}/stumbles/3") is ImageState.UNAVAILABLE


async def test_a_dead_host_costs_a_few_timeouts_and_not_one_a_product(shop: str) -> None:
    now = 0.0
    policy = ImagePolicy(allow_hosts=("127.0.0.1",), read_timeout_s=0.2, again=AgainPolicy(initial_s=0.001))
    async with Images(policy, clock=lambda: now) as images:
        started = time.monotonic()
        problems = [await caught(images, f"{shop}/slow/0.5?{i}") for i in range(50)]
        assert time.monotonic() - started < 3.0
        assert len(Shop.asked) == policy.breaker.failures
        assert "has failed 5 times in a row; it is asked again in 30 s" in problems[-1].reason
        now += policy.breaker.open_s
        assert await images.fetch(f"{shop}/ok") == BODY
        assert await images.fetch(f"{shop}/ok") == BODY


async def caught(images: Images, url: str) -> ImageProblem:
    with pytest.raises(ImageProblem) as problem:
        await images.fetch(url)
    assert problem.value.state is ImageState.UNAVAILABLE
    return problem.value
