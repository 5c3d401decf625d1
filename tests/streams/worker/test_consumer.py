"""What Faust's consumer does with acknowledgements."""

import asyncio
from collections.abc import Mapping
from typing import Any

from faust.types import TP
from mode import Service

from streams.config import KafkaConfig
from streams.worker.app import create_app
from streams.worker.consumer import Consumer

PLACE = TP("products", 0)


class Slow(Consumer):
    """A broker that takes an offset when it is told to."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.asked, self.may, self.taken = asyncio.Event(), asyncio.Event(), dict[TP, int]()

    def _new_consumer_thread(self) -> Service:
        """One that does nothing: Faust's would only talk to a broker."""
        return Service()

    async def _commit_offsets(self, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:
        self.asked.set()
        await self.may.wait()
        self.taken.update(offsets)
        return True


async def test_what_is_done_while_a_commit_is_under_way_is_committed_at_the_end():
    app = create_app(KafkaConfig("127.0.0.1:9", group="group"), {})

    async def nothing(*_: object) -> None: ...

    consumer = Slow(app.transport, callback=nothing, on_partitions_revoked=nothing, on_partitions_assigned=nothing)
    await consumer.done(PLACE, 0)
    periodic = asyncio.create_task(consumer.commit())
    await consumer.asked.wait()
    await consumer.done(PLACE, 1)
    leaving = asyncio.create_task(consumer.commit_and_end_transactions())
    await asyncio.sleep(0)
    consumer.may.set()
    await asyncio.gather(periodic, leaving)
    assert consumer.taken == {PLACE: 2}
