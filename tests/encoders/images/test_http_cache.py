"""Cached photos are requested conditionally, bounded and shared; a broken cache never costs a photo."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog.errors import ImageProblem
from encoders.images import FetchRetryPolicy, HttpCachePolicy, ImageFetcher, ImagePolicy
from encoders.images.http_cache import HttpImageCache
from tests.encoders.images import hosts

BODY = b"a photo, as far as keeping goes"
URL = "http://shop.example/a.jpg?token=secret"


@pytest.fixture
def host() -> Iterator[hosts.Host]:
    with hosts.serving() as host:
        yield host


@pytest.fixture
def policy(tmp_path: Path) -> ImagePolicy:
    cache = HttpCachePolicy(tmp_path / "below" / "photos.sqlite", 1_000_000)
    return ImagePolicy(allow_hosts=("127.0.0.1",), cache=cache, retry=FetchRetryPolicy(tries=2, initial_s=0.001))


def response(*headers: str) -> bytes:
    return hosts.reply(BODY, *headers)


UNCHANGED = hosts.reply(b"", code="304 Not Modified", length="none")


async def fetched(host: hosts.Host, policy: ImagePolicy, answer: hosts.Answer, path: str = "x") -> bytes:
    """The photo, fetched by a new client, as after a restart."""
    host.answers["x"] = answer
    async with ImageFetcher(policy) as images:
        return await images.fetch(f"http://127.0.0.1:{host.port}/{path}")


@pytest.mark.parametrize("validator", ['etag: "1"', "last-modified: Wed, 21 Oct 2015 07:28:00 GMT"])
async def test_a_photo_that_has_not_changed_costs_no_body(host, policy, validator: str) -> None:
    assert await fetched(host, policy, response(validator)) == BODY
    assert [await fetched(host, policy, UNCHANGED) for _ in range(2)] == [BODY] * 2
    name, value = validator.split(": ", 1)
    condition = {"etag": "if-none-match", "last-modified": "if-modified-since"}[name]
    assert [head.get(condition) for head in host.heads] == [None, value, value]
    assert await fetched(host, policy, hosts.reply(b"another photo", 'etag: "2"')) == b"another photo"
    assert await fetched(host, policy, UNCHANGED) == b"another photo"


@pytest.mark.parametrize(
    ("control", "requests"),
    [
        ("max-age=60", 1),
        ("public, max-age=31536000, immutable", 1),
        ('private,max-age="60"', 1),
        ("max-age=0", 2),
        ("immutable", 2),
        ("max-age=60, no-cache", 2),
        ("max-age=60\r\nage: 60", 2),
        ("max-age=-5", 2),
        ("max-age=x", 2),
        ("no-store, max-age=60", 2),
        ("max-age=60\r\nvary: *", 2),
        ("", 2),
    ],
)
async def test_a_host_says_for_how_long_it_need_not_be_asked(host, policy, control: str, requests: int) -> None:
    for _ in range(2):
        assert await fetched(host, policy, response(f"cache-control: {control}")) == BODY
    assert len(host.paths) == requests


async def test_what_must_not_be_stored_is_not(host, policy) -> None:
    await fetched(host, policy, response('etag: "1"', "cache-control: no-store"))
    await fetched(host, policy, response('etag: "1"'))
    assert "if-none-match" not in host.heads[-1]


async def test_what_comes_by_a_redirect_is_not_kept(host, policy) -> None:
    for _ in range(2):
        assert await fetched(host, policy, response('etag: "1"', "cache-control: max-age=60"), "to//x") == BODY
    assert len(host.paths) == 4


async def test_a_comparison_that_somebody_else_made_is_not_believed(host, policy) -> None:
    assert await fetched(host, policy, response('etag: "1"')) == BODY
    host.answers["elsewhere"] = UNCHANGED
    with pytest.raises(ImageProblem, match="answered 304"):
        await fetched(host, policy, hosts.go("/elsewhere"))


async def test_no_answer_is_kept_but_a_photo(host, policy) -> None:
    gone = hosts.reply(b"no", "cache-control: max-age=60", 'etag: "1"', code="404 Not Found")
    with pytest.raises(ImageProblem):
        await fetched(host, policy, gone)
    assert await fetched(host, policy, response()) == BODY


async def test_the_file_stays_within_its_bound_and_the_longest_unused_goes(tmp_path: Path) -> None:
    now = 1_000_000.0
    files = HttpImageCache(HttpCachePolicy(tmp_path / "photos", 1_000_000), now=lambda: now)
    for number in range(60):
        now += 10_000
        await files.put(f"{URL}{number}", bytes([number]) * 50_000, {"etag": "1"})
        assert (await files.get(URL + "0")) is not None
    assert (await files.get(URL + "1")) is None
    assert (cached := await files.get(f"{URL}59")) is not None
    assert cached.body == bytes([59]) * 50_000
    await files.put(URL, bytes(1_000_001), {"etag": "1"})
    assert await files.get(URL) is None
    await files.aclose()
    written = (tmp_path / "photos").read_bytes()
    assert len(written) < 1_500_000
    assert b"secret" not in written


async def test_freshness_ends_and_a_clock_set_back_does_not_prolong_it(tmp_path: Path) -> None:
    now = 1_000_000_000.0
    files = HttpImageCache(HttpCachePolicy(tmp_path / "photos", 1_000_000), now=lambda: now)
    await files.put(URL, BODY, {"etag": "1", "cache-control": "max-age=60"})
    for at, fresh in ((59, True), (61, False), (-5_000_000_000, False)):
        now = 1_000_000_000.0 + at
        cached = await files.get(URL)
        assert cached is not None
        assert cached.fresh is fresh
    await files.aclose()


async def test_an_entry_that_is_damaged_is_a_miss(host, policy) -> None:
    await fetched(host, policy, response("cache-control: max-age=60"))
    with sqlite3.connect(policy.cache.path) as base:
        base.execute("UPDATE photos SET body = x'00'")
    base.close()
    assert await fetched(host, policy, response("cache-control: max-age=60")) == BODY
    assert len(host.paths) == 2


@pytest.mark.parametrize("damage", [b"no database at all", bytes(5000)])
async def test_a_file_that_is_damaged_is_begun_anew(host, policy, damage: bytes) -> None:
    policy.cache.path.parent.mkdir()
    policy.cache.path.write_bytes(damage)
    for _ in range(3):
        assert await fetched(host, policy, response("cache-control: max-age=60")) == BODY
    assert len(host.paths) <= 2


async def test_a_folder_that_cannot_be_written_costs_the_cache_and_no_photo(host, policy, tmp_path: Path) -> None:
    (tmp_path / "below").write_bytes(b"a file where the folder should be")
    assert await fetched(host, policy, response('etag: "1"')) == BODY
    assert (tmp_path / "below").is_file()


WRITER = """
import asyncio, sys
from pathlib import Path
from encoders.images.http_cache import HttpCachePolicy, HttpImageCache
async def main(path, who):
    files = HttpImageCache(HttpCachePolicy(Path(path), 1_000_000))
    for n in range(100):
        await files.put(f"{n % 10}", f"{n % 10}".encode() * 20_000, {"etag": who})
        kept = await files.get(f"{(n * 7) % 10}")
        assert kept is None or set(kept.body) == {ord(f"{(n * 7) % 10}")}
    await files.aclose()
asyncio.run(main(*sys.argv[1:]))
"""


async def test_several_processes_share_it(tmp_path: Path) -> None:
    path = tmp_path / "photos"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), who]) for who in "abc"]  # noqa: ASYNC220
    assert [await asyncio.to_thread(writer.wait, 60) for writer in writers] == [0, 0, 0]
    with sqlite3.connect(path) as base:
        assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        rows = base.execute("SELECT crc, body FROM photos").fetchall()
    base.close()
    assert len(rows) == 10
    assert all(zlib.crc32(body) == crc for crc, body in rows)
