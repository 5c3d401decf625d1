"""The smallest form of the suite: one schedule on real processes, and checks of its checks."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from catalog.domain.product import ProductKey
from tests.chaos.expected_vectors import encode_expected
from tests.chaos.photos import KINDS, kind_of, outcomes, picture_of, url_of
from tests.chaos.processes import Processes
from tests.chaos.quarantine import Mark
from tests.chaos.schedule import FAULTS, Fault, Setting, World, draw
from tests.chaos.trial import Shop
from tests.chaos.verdict import IndexedPoint, exit_faults, index_faults, quarantine_faults
from tests.fixtures_broker import CACHE
from tests.simulation.oracle import fold
from tests.simulation.schedule import BACKFILL, LIVE, Event

WORLD = World(epoch_ms=1_700_000_000_000, photo_port=80)
TOPICS = {LIVE: "live", BACKFILL: "back-fill"}


@pytest.mark.timeout(240)
async def test_one_schedule(tmp_path: Path) -> None:
    """A killed worker, an index that reports failure after applying, a killed broker, a deleted quarantine topic."""
    setting = Setting(workers=2, partitions=2, batch_size=16, members=True)
    processes = Processes(tmp_path, CACHE, setting, random.Random(1))
    try:
        await processes.start()
        schedule = draw(1, 5, World(round(time.time() * 1000), processes.host.port))
        faults = (
            Fault(0.3, "engine fails after", 0, 1.5),
            Fault(0.6, "worker killed", 0, 0.3),
            Fault(2.0, "quarantine gone", 0, 0.7),
            Fault(3.5, "broker killed", 0, 0.3),
        )
        verdict = await Shop(processes, encode_expected("builtin:small")).run(replace(schedule, faults=faults))
        verdict.wrong += await processes.drain()
    finally:
        await processes.stop()
    assert verdict.wrong == []
    assert processes.effects["failed after"]


def test_a_seed_draws_the_same_schedule() -> None:
    assert str(draw(3, 7, WORLD)) == str(draw(3, 7, WORLD))
    assert str(draw(3, 7, WORLD)) != str(draw(3, 8, WORLD))


def test_every_fault_and_every_photo_is_drawn() -> None:
    schedules = [draw(0, number, WORLD) for number in range(200)]
    photos = [url for s in schedules for e in s.events if isinstance(e.body, dict) for url in _images(e)]
    assert {fault.kind for s in schedules for fault in s.faults} == set(FAULTS)
    assert {kind_of(url) for url in photos if url.startswith("http://127.")} == set(KINDS)


@pytest.fixture(scope="module")
def events() -> tuple[Event, ...]:
    return draw(1, 5, WORLD).events


def test_a_correct_index_passes(events: tuple[Event, ...]) -> None:
    assert index_errors(correct_index(events), events) == []


@pytest.mark.parametrize("broken", ["lost", "stale", "resurrected", "another photo", "vectors of the dead", "unseen"])
def test_the_check_of_the_index_can_fail(events: tuple[Event, ...], broken: str) -> None:
    points = correct_index(events)
    live = next(p for p in points if p.payload["live"] and "fused" in p.vectors)
    dead = next(p for p in points if not p.payload["live"] and p.payload["content_version"] is not None)
    searched = {p.key for p in points if p.payload["live"]}
    match broken:
        case "lost":
            points.remove(live)
        case "stale":
            live.payload["offer_version"] -= 1
        case "resurrected":
            dead.payload.update(live=True, title="red mug", images=[], image_state="none")
        case "another photo":
            live.vectors = {name: -vector for name, vector in live.vectors.items()}
        case "vectors of the dead":
            dead.vectors = {"fused": np.ones(2, np.float32)}
        case "unseen":
            searched.discard(live.key)
    assert index_errors(points, events, searched)


def test_the_check_of_quarantine_can_fail(events: tuple[Event, ...]) -> None:
    sent = {event: (0, offset) for offset, event in enumerate(events)}
    marks = {e: Mark(TOPICS[e.topic], *sent[e], e.key, e.value, e.timestamp) for e in events}
    bad = [marks[e] for e in events if e.bad]
    good = next(e for e in events if not e.bad)
    assert quarantine_faults(bad, sent, TOPICS) == []
    assert quarantine_faults([*bad, bad[0]], sent, TOPICS) == []
    assert quarantine_faults([*bad, bad[0]._replace(offset=9999)], sent, TOPICS) == []
    assert quarantine_faults([bad[0]._replace(offset=9999), *bad[1:]], sent, TOPICS)
    assert quarantine_faults([*bad, marks[good]], sent, TOPICS)


def test_the_check_of_exits_can_fail() -> None:
    away = "with 1: Error: The broker at 127.0.0.1:9 does not answer (ConnectionRefusedError): start it."
    index = "with 1: Error: Qdrant did not read the aliases (UNAVAILABLE): connection refused"
    assert exit_faults([away, index], outage=True) == []
    assert exit_faults([away], outage=False)
    assert exit_faults(["with 1: The live lane stands still: 3 records have been at write for 46 s."], outage=True)
    assert exit_faults(["with -11: "], outage=True)


def index_errors(
    points: list[IndexedPoint], events: tuple[Event, ...], searched: set[ProductKey] | None = None
) -> list[str]:
    vectors = {(title, number): _vectors_of(title, number) for title in _titles(events) for number in (None, *range(8))}
    seen = {p.key for p in points if p.payload["live"]} if searched is None else searched
    return index_faults(points, events, vectors, lenient=False, searched=seen)


def correct_index(events: tuple[Event, ...]) -> list[IndexedPoint]:
    """The points of a correct index."""
    points = []
    for key, product in fold(events).items():
        live = product.title is not None
        state, number = next(iter(outcomes(product.images or [], lenient=False)))
        payload = {
            **key._asdict(),
            "live": live,
            "title": product.title,
            "images": product.images,
            "image_state": state.value,
            "content_version": product.content_version,
            "offer_version": product.offer_version,
            "attributes": {n.partition(".")[2]: v for n, v in product.fields.items() if "." in n},
            **{n: v for n, v in product.fields.items() if "." not in n},
        }
        points.append(IndexedPoint(payload, _vectors_of(str(product.title), number) if live else {}))
    return points


def _vectors_of(title: str, number: int | None) -> dict[str, np.ndarray]:
    angle = len(title) + (0 if number is None else number + 1)
    vector = np.array([np.cos(angle), np.sin(angle)], np.float32)
    return {"fused": vector} if number is None else {"fused": vector, "image": vector}


def _titles(events: tuple[Event, ...]) -> set[str]:
    return {str(e.body["title"]) for e in events if isinstance(e.body, dict) and "title" in e.body}


def _images(event: Event) -> list[str]:
    images = event.body.get("images", []) if isinstance(event.body, dict) else []
    return images if isinstance(images, list) else []


def test_a_url_has_the_kind_and_the_picture() -> None:
    url = url_of("flood", 3, 70_000, 8080)
    assert (kind_of(url), picture_of(url)) == ("flood", 3)
    assert url.startswith("http://127.65.17.112:8080/")
