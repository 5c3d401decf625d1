"""A broker that restarts while a worker runs."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from embedded.broker import Broker
from tests.fixtures_broker import CACHE
from tests.integration.streaming import Place, child, eventually, new_place, working
from tests.streams.stages import RecordingStages


def start(data: Path, port: int = 0) -> Broker:
    return Broker.start(data, cache=CACHE, port=port, timeout=90)


def numbers(first: int, last: int) -> list[tuple[bytes | None, bytes | None]]:
    return [(b"k%d" % (i % 7), b"%d" % i) for i in range(first, last)]


async def test_a_broker_restart_loses_nothing(tmp_path: Path) -> None:
    broker = await asyncio.to_thread(start, tmp_path)
    port = int(broker.bootstrap.rpartition(":")[2])
    stages = RecordingStages(seconds=0.005)
    try:
        place: Place = new_place(broker.bootstrap)
        place.produce(numbers(0, 300))
        async with working(place, stages):
            await eventually(lambda: len(stages.written) > 50)
            await asyncio.to_thread(broker.stop)
            broker = await asyncio.to_thread(start, tmp_path, port)
            await asyncio.to_thread(place.produce, numbers(300, 600))
            await eventually(lambda: sum(place.committed().values()) == 600, timeout_s=60)
    finally:
        await asyncio.to_thread(broker.stop)
    assert {int(r.value or b"") for r in stages.written} == set(range(600))


async def test_sigterm_ends_a_worker_whose_broker_is_away(tmp_path: Path) -> None:
    broker = await asyncio.to_thread(start, tmp_path)
    place = new_place(broker.bootstrap)
    place.produce(numbers(0, 100))
    try:
        async with child(place, "steady") as process:
            await eventually(lambda: sum(place.committed().values()) > 0)
            await asyncio.to_thread(broker.kill)
            process.send_signal(signal.SIGTERM)
            _, errors = await asyncio.wait_for(process.communicate(), 30)
    finally:
        await asyncio.to_thread(broker.stop)
    assert process.returncode == 0
    assert b"did not commit the last offsets" in errors
