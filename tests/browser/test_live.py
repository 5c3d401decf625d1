"""End to end in a browser: an event goes into Kafka, and the page shows it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from embedded.engine.process import EngineProcess
from liveshelf.settings import environment
from tests.browser.test_search import expect
from tests.integration.shop import READY_S, Shop, open_shop, wait_for

PROMISED_MS = 2000


@contextmanager
def search_service(shop: Shop) -> Iterator[str]:
    """Starts a worker and a `liveshelf serve` process. Yields the service's address."""
    ready = shop.folder / "serve.ready"
    settings = shop.settings.model_copy(update={"ready_file": ready, "search_port": 0})
    with (shop.folder / "serve.log").open("wb") as log:
        command = [sys.executable, "-m", "liveshelf", "serve"]
        service = subprocess.Popen(command, env=environment(settings), stdout=log, stderr=subprocess.STDOUT)
    try:
        shop.start_worker()
        wait_for(lambda: ready.exists() or service.poll() is not None, READY_S)
        assert service.poll() is None, (shop.folder / "serve.log").read_text()
        yield f"http://127.0.0.1:{json.loads(ready.read_text())['port']}/"
    finally:
        service.terminate()
        service.wait(30)


@pytest.fixture
def shop(broker: str, engine: EngineProcess, tmp_path: Path) -> Iterator[Shop]:
    with open_shop(broker, engine, tmp_path, image_file_roots=(tmp_path,)) as opened:
        yield opened


def put(folder: Path, colour: str, version: int, price: float) -> dict[str, Any]:
    photo = folder / f"{colour}.jpg"
    if not photo.exists():
        Image.new("RGB", (64, 64), colour).save(photo, "JPEG")
    offer = {"price": price, "currency": "EUR", "available": True}
    event = {"id": colour, "version": version, "title": f"{colour} vase", "images": [photo.as_uri()], "offer": offer}
    return {**event, "attributes": {"brand": "Arbour", "category": "vases"}}


def test_an_event_shows_within_two_seconds_on_the_strip_and_in_the_results(page: Any, shop: Shop) -> None:
    with search_service(shop) as address:
        page.goto(address)
        expect(page.get_by_role("heading", name="The shelf is empty")).to_be_visible()
        shop.wait_until_applied(shop.publish([put(shop.folder, "white", 1, 10.0)]))  # the first batch is slower
        expect(page.locator("#feed .title")).to_have_text("white vase")

        shop.publish([put(shop.folder, "red", 1, 12.0)])
        new_card = page.locator("#feed .card", has_text="red vase")
        expect(new_card).to_be_visible(timeout=PROMISED_MS)
        expect(new_card.locator(".photo.there")).to_have_count(1)

        page.locator("#text").fill("red vase")
        card = page.locator("#left .card").first
        expect(card.locator(".title")).to_have_text("red vase")
        shop.publish([{"op": "patch", "id": "red", "version": 2, "offer": {"price": 9.5}}])
        expect(card.locator(".offer")).to_contain_text("€9.50", timeout=PROMISED_MS)
        expect(card.locator("time")).to_have_text(re.compile(r"^\d s ago$"))
