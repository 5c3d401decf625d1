"""Photos in an object store: a real one for successes, a misbehaving one for failures."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog.domain.image_state import ImageState
from catalog.errors import ImageProblem
from encoders.images import FetchRetryPolicy, ImageFetcher, ImagePolicy, S3Policy
from tests.encoders.images import hosts

BODY = b"a photo, as far as an object store goes"
BUCKETS = ("shop", "gone", "denied", "failing", "hangs", "resets")
BLOCKED, MISSING, UNAVAILABLE = ImageState.BLOCKED, ImageState.MISSING, ImageState.UNAVAILABLE


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Credentials from a file, as an operator has them, and none of this machine."""
    given = tmp_path / "credentials"
    given.write_text("[default]\naws_access_key_id = FROMFILE\naws_secret_access_key = secret\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(given))
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server whose bucket `shop` holds some objects, and whose bucket `other` must not be read."""
    data = tmp_path_factory.mktemp("store")
    for name, body in {
        "shop/a.jpg": BODY,
        "shop/deep/ä b+c%20?x#y.jpg": BODY,
        "shop/empty": b"",
        "shop/big": bytes(1001),
        "other/secret": b"secret",
    }.items():
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_bytes(body)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "localbucket", "--port", str(port), str(data)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def broken() -> Iterator[hosts.Host]:
    with hosts.serving() as host:
        host.answers |= {
            "gone": hosts.reply(b"", code="404 Not Found"),
            "denied": hosts.reply(b"", code="403 Forbidden"),
            "failing": hosts.reply(b"", code="503 Slow Down"),
            "hangs": hosts.hang(),
            "resets": hosts.reset(),
        }
        yield host


def policy(endpoint: str, tries: int = 1) -> ImagePolicy:
    return ImagePolicy(
        max_bytes=1000,
        read_timeout_s=1.0,
        total_timeout_s=0.5,
        retry=FetchRetryPolicy(tries=tries, initial_s=0.001),
        s3=S3Policy(BUCKETS, endpoint),
    )


async def problem(url: str, policy: ImagePolicy) -> ImageProblem:
    async with ImageFetcher(policy) as images:
        with pytest.raises(ImageProblem) as caught:
            await images.fetch(url)
    return caught.value


async def test_objects_are_read_by_their_keys_as_they_stand(store: str) -> None:
    async with ImageFetcher(policy(store)) as images:
        assert await images.fetch("s3://shop/a.jpg") == BODY
        assert await images.fetch("S3://shop/deep/ä b+c%20?x#y.jpg") == BODY


@pytest.mark.parametrize(
    ("url", "state", "expected_reason"),
    [
        ("s3://shop/none.jpg", MISSING, "does not exist"),
        ("s3://gone/a.jpg", MISSING, "does not exist"),
        ("s3://shop/deep", MISSING, "does not exist"),
        ("s3://shop/big", ImageState.TOO_LARGE, "1,000 bytes"),
        ("s3://shop/empty", ImageState.BROKEN, "empty"),
        ("s3://other/secret", BLOCKED, "the bucket other is not allowed"),
        ("s3://SHOP/a.jpg", BLOCKED, "the bucket SHOP is not allowed"),
        ("s3://me:x@shop/a.jpg", BLOCKED, "is not allowed"),
        ("s3:shop/a.jpg", BLOCKED, "is not allowed"),
        ("s3:///shop/a.jpg", BLOCKED, "is not allowed"),
        ("s3://shop/../other/secret", BLOCKED, "lead out of its bucket"),
        ("s3://shop/x/../../other/secret", BLOCKED, "lead out of its bucket"),
        ("s3://shop/./a.jpg", BLOCKED, "lead out of its bucket"),
        ("s3://shop//a.jpg", BLOCKED, "an empty part"),
        ("s3://shop", MISSING, "no valid key in the bucket shop"),
        ("s3://shop/", MISSING, "no valid key in the bucket shop"),
        ("s3://shop/a\nb", MISSING, "no valid key"),
        ("s3://shop/a\ud800", MISSING, "not a URL"),
        ("s3://shop/" + "ä" * 513, MISSING, "no valid key"),
    ],
)
async def test_what_a_url_may_not_say(store: str, url: str, state: ImageState, expected_reason: str) -> None:
    image_problem = await problem(url, policy(store))
    assert (image_problem.state, expected_reason in image_problem.reason) == (state, True), image_problem.reason


async def test_no_bucket_is_allowed_until_it_is_named() -> None:
    assert (await problem("s3://shop/a.jpg", ImagePolicy())).state is BLOCKED


@pytest.mark.parametrize(
    ("bucket", "state"),
    [
        ("gone", MISSING),
        ("denied", BLOCKED),
        ("failing", UNAVAILABLE),
        ("hangs", UNAVAILABLE),
        ("resets", UNAVAILABLE),
    ],
)
async def test_every_failure_has_its_state(broken: hosts.Host, bucket: str, state: ImageState) -> None:
    image_problem = await problem(f"s3://{bucket}/a.jpg", policy(f"http://127.0.0.1:{broken.port}"))
    assert image_problem.state is state, image_problem.reason
    assert all("FROMFILE" in head["authorization"] for head in broken.heads)
    assert all("/eu-central-1/s3/" in head["authorization"] for head in broken.heads)


async def test_a_store_that_nobody_is_at_is_unavailable() -> None:
    assert (await problem("s3://shop/a.jpg", policy("http://127.0.0.1:1"))).state is UNAVAILABLE


async def test_a_store_that_fails_is_asked_again_as_often_as_any_host(broken: hosts.Host) -> None:
    await problem("s3://failing/a.jpg", policy(f"http://127.0.0.1:{broken.port}", tries=3))
    assert len(broken.paths) == 3
