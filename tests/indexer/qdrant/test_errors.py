"""Errors of gRPC calls become the catalog's errors: a server that refuses all calls, and no server."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from qdrant_client.grpc import points_service_pb2_grpc

from catalog.domain.product import ProductKey
from catalog.errors import FatalError, InvalidInput, LiveshelfError, Unavailable
from indexer import QdrantWriter, connect
from tests.fakes import SPACE
from tests.fixtures_engine import client_of


class Refusing(points_service_pb2_grpc.PointsServicer):
    """Answers every read with one status code, and records the metadata of the request."""

    def __init__(self, code: grpc.StatusCode, retry_after: str | None = None) -> None:
        self.code = code
        self.retry_after = retry_after
        self.metadata: dict[str, str] = {}

    async def Get(self, request: Any, context: Any) -> None:
        self.metadata = dict(context.invocation_metadata())
        trailing = (("retry-after", self.retry_after),) if self.retry_after else ()
        await context.abort(self.code, "the reason", trailing)


@asynccontextmanager
async def serving(refusing: Refusing) -> AsyncIterator[str]:
    server = grpc.aio.server()
    points_service_pb2_grpc.add_PointsServicer_to_server(refusing, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await server.stop(None)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (grpc.StatusCode.UNAVAILABLE, Unavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, Unavailable),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, Unavailable),
        (grpc.StatusCode.ABORTED, Unavailable),
        (grpc.StatusCode.INTERNAL, Unavailable),
        (grpc.StatusCode.NOT_FOUND, FatalError),
        (grpc.StatusCode.UNAUTHENTICATED, FatalError),
        (grpc.StatusCode.PERMISSION_DENIED, FatalError),
        (grpc.StatusCode.UNIMPLEMENTED, FatalError),
        (grpc.StatusCode.INVALID_ARGUMENT, FatalError),  # reading by id never fails because of a product
    ],
)
async def test_a_status_becomes_the_error_for_the_callers_reaction(
    code: grpc.StatusCode, expected: type[LiveshelfError]
) -> None:
    async with serving(Refusing(code)) as url, client_of(url) as client:
        with pytest.raises(expected, match="the reason") as caught:
            await QdrantWriter(client, collection="c", space=SPACE).read_states([ProductKey("a", "1")])
    if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
        assert "LIVESHELF_QDRANT_API_KEY" in str(caught.value)


async def test_a_server_that_is_too_busy_is_unavailable() -> None:
    async with serving(Refusing(grpc.StatusCode.RESOURCE_EXHAUSTED, "3")) as url, client_of(url) as client:
        with pytest.raises(Unavailable, match="too busy"):
            await QdrantWriter(client, collection="c", space=SPACE).read_states([ProductKey("a", "1")])


async def test_no_server_is_unavailable_at_once() -> None:
    with socket.socket() as taken:  # bound but not listening: no other process gets the port, and nothing answers
        taken.bind(("127.0.0.1", 0))
        async with client_of(f"http://127.0.0.1:{taken.getsockname()[1]}") as client:
            with pytest.raises(Unavailable):
                await QdrantWriter(client, collection="c", space=SPACE).read_states([ProductKey("a", "1")])


async def test_the_key_goes_with_every_call() -> None:
    refusing = Refusing(grpc.StatusCode.UNAVAILABLE)
    async with serving(refusing) as url:
        client = connect(url, api_key="s3cret", timeout_s=5)
        with pytest.raises(Unavailable):
            await QdrantWriter(client, collection="c", space=SPACE).read_states([ProductKey("a", "1")])
        await client.close()
    assert refusing.metadata["api-key"] == "s3cret"


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1:6334", "ftp://x:1", "http://", "http://x:port", "http://x:99999", "http://x:1/path", "http://[x"],
)
def test_an_invalid_address_is_invalid_input(url: str) -> None:
    with pytest.raises(InvalidInput, match=r"http://127\.0\.0\.1:6334"):
        connect(url, api_key=None, timeout_s=5)
