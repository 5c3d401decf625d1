"""HTTP/2 with a real server over TLS: several photos over one connection, within the same limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme
from hypercorn.asyncio import serve
from hypercorn.config import Config

from catalog.domain.image_state import ImageState
from catalog.errors import ImageProblem
from encoders.images import FetchRetryPolicy, ImageFetcher, ImagePolicy

BODY = b"a photo over HTTP/2"


@dataclass
class Shop:
    """An ASGI application: /slow waits, /big exceeds the limit, all other paths return BODY."""

    url: str = ""
    ca_file: Path = Path()
    versions: list[str] = field(default_factory=list)
    clients: set[tuple[str, int]] = field(default_factory=set)
    at_once: int = 0
    most_at_once: int = 0

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            return
        self.versions.append(scope["http_version"])
        self.clients.add(tuple(scope["client"]))
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            await asyncio.sleep({"/slow": 1.0, "/wait": 0.1}.get(scope["path"], 0))
            body = bytes(50_000) if scope["path"] == "/big" else BODY
            status = 404 if scope["path"] == "/none" else 200
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": body})
        finally:
            self.at_once -= 1


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    for number, pem in enumerate(certificate.cert_chain_pems):
        pem.write_to_path(tmp_path / "cert.pem", append=number > 0)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    config = Config()
    config.certfile, config.keyfile = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    config.errorlog = config.accesslog = None
    config.bind = ["127.0.0.1:0"]
    sockets = config.create_sockets()
    config.create_sockets = lambda: sockets  # type: ignore[method-assign]
    port = sockets.secure_sockets[0].getsockname()[1]
    shop = Shop(f"https://localhost:{port}", tmp_path / "ca.pem")
    end = asyncio.Event()
    server = asyncio.create_task(serve(shop, config, shutdown_trigger=end.wait))
    yield shop
    end.set()
    await server


def policy(shop: Shop, **changes: object) -> ImagePolicy:
    retry = FetchRetryPolicy(tries=1)
    return ImagePolicy(allow_hosts=("localhost",), ca_file=shop.ca_file, max_bytes=20_000, retry=retry, **changes)


async def test_photos_share_a_connection(shop: Shop) -> None:
    async with ImageFetcher(policy(shop)) as images:
        assert await images.fetch(f"{shop.url}/first") == BODY
        assert await asyncio.gather(*(images.fetch(f"{shop.url}/wait?{n}") for n in range(20))) == [BODY] * 20
    assert set(shop.versions) == {"2"}
    assert len(shop.clients) == 1
    assert shop.most_at_once == 8


async def test_every_failure_has_its_state_and_leaves_the_connection_to_others(shop: Shop) -> None:
    outcomes = {"slow": ImageState.UNAVAILABLE, "none": ImageState.MISSING, "big": ImageState.TOO_LARGE}
    async with ImageFetcher(policy(shop, total_timeout_s=0.4)) as images:
        for path, state in [*outcomes.items(), *outcomes.items()]:
            with pytest.raises(ImageProblem) as caught:
                await images.fetch(f"{shop.url}/{path}")
            assert caught.value.state is state
            assert await images.fetch(f"{shop.url}/ok") == BODY


async def test_an_unknown_authority_is_not_trusted(shop: Shop) -> None:
    async with ImageFetcher(ImagePolicy(allow_hosts=("localhost",), retry=FetchRetryPolicy(tries=1))) as images:
        with pytest.raises(ImageProblem, match="certificate") as caught:
            await images.fetch(f"{shop.url}/ok")
    assert caught.value.state is ImageState.UNAVAILABLE
