"""Acknowledgements in Faust's consumer, and the internals of Faust that ours relies on."""

import asyncio
from collections.abc import Mapping
from typing import Any

from faust.transport.drivers import aiokafka
from faust.types import TP
from mode import Service

from streams.config import KafkaConfig
from streams.worker.app import create_app
from streams.worker.consumer import Consumer

PARTITION = TP("products", 0)


class SlowCommits(Consumer):
    """Commits offsets only when the test allows it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.committing, self.allowed, self.committed = asyncio.Event(), asyncio.Event(), dict[TP, int]()

    def _new_consumer_thread(self) -> Service:
        """A service that does nothing instead of a thread that connects to a broker."""
        return Service()

    async def _commit_offsets(self, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:
        self.committing.set()
        await self.allowed.wait()
        self.committed.update(offsets)
        return True


def new_consumer() -> SlowCommits:
    app = create_app(KafkaConfig("127.0.0.1:9", group="group"), {})

    async def nothing(*_: object) -> None: ...

    return SlowCommits(app.transport, callback=nothing, on_partitions_revoked=nothing, on_partitions_assigned=nothing)


async def test_faust_has_the_internals_that_the_consumer_overrides():
    assert {"_getmany", "_to_message", "_add_gap", "_new_offset"} <= set(dir(aiokafka.Consumer))
    assert {"_acked", "_acked_index"} <= set(vars(new_consumer()))


async def test_what_is_acknowledged_during_a_commit_is_committed_at_the_end():
    consumer = new_consumer()
    await consumer.acknowledge(PARTITION, 0)
    periodic = asyncio.create_task(consumer.commit())
    await consumer.committing.wait()
    await consumer.acknowledge(PARTITION, 1)
    leaving = asyncio.create_task(consumer.commit_and_end_transactions())
    await asyncio.sleep(0)
    consumer.allowed.set()
    await asyncio.gather(periodic, leaving)
    assert consumer.committed == {PARTITION: 2}
