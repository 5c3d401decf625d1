"""The inside of a worker without a broker: tests put records into a lane and see their acknowledgement.

Lane, ingest, encoder and photo fetcher are those of a worker; the model is small enough to read.
"""

from __future__ import annotations

import asyncio
import io
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image

from catalog.domain.product import ProductKey
from catalog.domain.record import Record
from catalog.domain.state import Payload
from catalog.ingest.batch import IngestBatch
from catalog.ingest.image_retry import ImageRetrier, ImageRetryPolicy
from catalog.ingest.ingest import Ingest, IngestPolicy
from catalog.ports import ProductWriter, Quarantine
from encoders import EncodePolicy, EncoderService
from encoders.batching.executor import Priority
from encoders.images import FetchRetryPolicy, ImageFetcher, ImagePolicy
from encoders.model import Model
from streams.config import BatchPolicy, OutageRetryPolicy
from streams.pipeline.delivery import Delivery
from streams.pipeline.pipeline import Pipeline
from tests.encoders.test_service import Colours
from tests.fakes import FakeIndex, ListQuarantine

PHOTOS = ImagePolicy(
    allow_hosts=("127.0.0.1",),
    max_bytes=100_000,
    max_pixels=1_000_000,
    read_timeout_s=0.5,
    total_timeout_s=5.0,
    retry=FetchRetryPolicy(tries=2, initial_s=0.001),
)
QUICK = OutageRetryPolicy(initial_s=0.01, max_s=0.05)


@dataclass
class HandFed:
    """`apply` puts events in. The results are in `shelf`, `quarantine` and `acked` (offsets)."""

    lane: Pipeline[IngestBatch]
    shelf: FakeIndex
    quarantine: ListQuarantine
    acked: list[int] = field(default_factory=list)
    sent: int = 0

    async def put(self, *events: dict[str, Any] | bytes) -> None:
        for event in events:
            value = event if isinstance(event, bytes) else json.dumps(event).encode()
            record = Record(b"key", value, "products", 0, self.sent, 1000 + self.sent)
            await self.lane.put(Delivery(record, self._ack_of(record)))
            self.sent += 1

    async def apply(self, *events: dict[str, Any] | bytes) -> None:
        """Puts events in and returns when all events so far are acknowledged."""
        await self.put(*events)
        async with asyncio.timeout(10):
            while True:
                if len(self.acked) == self.sent:
                    return
                await asyncio.sleep(0.005)

    async def becomes(self, id: str, state: str) -> Payload:
        """Waits until the photo of the product is in this state, and returns its payload."""
        async with asyncio.timeout(10):
            while True:
                payload = await self.payload(id)
                if payload is not None and payload["image_state"] == state:
                    return payload
                await asyncio.sleep(0.005)

    async def payload(self, id: str) -> Payload | None:
        return await self.shelf.get(ProductKey("default", id))

    def _ack_of(self, record: Record) -> Any:
        async def ack() -> None:
            self.acked.append(record.offset)

        return ack


@asynccontextmanager
async def hand_fed(
    *,
    model: Model | None = None,
    index: ProductWriter | None = None,
    quarantine: Quarantine | None = None,
    encode: EncodePolicy | None = None,
    repair: ImageRetryPolicy = ImageRetryPolicy(delays_s=()),
) -> AsyncIterator[HandFed]:
    """The lane runs in a task of its own, which is cancelled at the end. The default `index` is one of dicts.

    With delays in `repair`, failed photos are retried in another task.
    """
    model = model or Colours()
    shelf, rejects = FakeIndex(model.space), ListQuarantine()
    encode = encode or EncodePolicy(photos=PHOTOS)
    async with ImageFetcher(encode.photos) as images, EncoderService(model, images, encode) as encoder:
        policy = IngestPolicy(image_retry=repair)
        ingest = Ingest(index=index or shelf, encoder=encoder, quarantine=quarantine or rejects, policy=policy)
        lane = Pipeline(ingest, lane="live", batch=BatchPolicy(max_records=16, within_s=0.01), retry=QUICK)
        retrier = ImageRetrier(index=shelf, retry_queue=shelf, encoder=encoder.lane(Priority.BACKFILL), policy=repair)
        running = [asyncio.create_task(lane.run()), asyncio.create_task(retrier.run())]
        try:
            yield HandFed(lane, shelf, rejects)
        finally:
            for task in running:
                task.cancel()
            await asyncio.wait(running)


class _Photos(BaseHTTPRequestHandler):
    """/photo/COLOUR serves a photo, /bytes/N so many bytes; while `down`, /status/N answers N and /slow waits."""

    protocol_version = "HTTP/1.1"
    down: bool

    def do_GET(self) -> None:
        kind, _, rest = self.path.lstrip("/").partition("/")
        code, body = 200, _photo((40, 40), "red")
        match kind:
            case "photo":
                body = _photo((40, 40), rest.partition("?")[0])
            case "status" if type(self).down:
                code, body = int(rest), b"no"
            case "slow" if type(self).down:
                time.sleep(0.8)
            case "bytes":
                body = bytes(int(rest))
            case "bomb":
                body = _photo((1100, 1000), "white")
            case "text":
                body = b"this is no image"
        self.send_response(code)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignores clients that close the connection, as in some tests."""


@cache
def _photo(size: tuple[int, int], colour: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


@dataclass
class PhotoHost:
    """A host of photos on this machine. After `heal` it serves all of them."""

    url: str
    _handler: type[_Photos]

    def heal(self) -> None:
        self._handler.down = False


@contextmanager
def photo_host() -> Iterator[PhotoHost]:
    handler = type("Photos", (_Photos,), {"down": True})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield PhotoHost(f"http://127.0.0.1:{server.server_address[1]}", handler)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
