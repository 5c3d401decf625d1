"""Faust's consumer with lists of records as its messages.

Faust starts five event loop tasks for each message on its way to an agent, which costs more than applying a price
change. So a message here is a list of records fetched from one partition. Group membership, rebalances, flow control
and commits stay Faust's, and their cost is paid once a list.

The overrides rely on internals of faust-streaming 0.15.3, the version that `constraints.txt` pins: `Consumer._getmany`,
`_to_message`, `_add_gap`, `_new_offset`, `_acked` and `_acked_index`. A test fails with a version that lacks one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakSet

from faust.transport.drivers import aiokafka
from faust.types import TP
from faust.types.tuples import ConsumerMessage

# The longest list. The buffer is bounded in lists, and topics and partitions alternate by list.
MAX_RECORDS = 32


class FetchedRecords(ConsumerMessage):
    """A message without key and value. `records` are aiokafka's, of one partition and in order.

    They are removed after they were handed over.
    """

    records: Sequence[Any] = ()


class Consumer(aiokafka.Consumer):
    """Expects acknowledgements in the order of offsets: one acknowledges all records before it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._fetched: WeakSet[FetchedRecords] = WeakSet()

    @property
    def waiting(self) -> int:
        """Number of records in memory that were not handed over yet."""
        return sum(len(message.records) for message in list(self._fetched))

    async def acknowledge(self, partition: TP, offset: int) -> None:
        """Marks the record for the next commit."""
        self._acked[partition].append(offset)

    async def commit_and_end_transactions(self) -> None:
        """Commits all acknowledged records at shutdown and before partitions are revoked."""
        # Faust's own waits only for a running commit, which may have begun before the last acknowledgement.
        await self.maybe_wait_for_commit_to_finish()
        await super().commit_and_end_transactions()

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109 -- Faust's
        fetched = await super()._getmany(active_partitions, timeout)
        return {
            partition: [records[start : start + MAX_RECORDS] for start in range(0, len(records), MAX_RECORDS)]
            for partition, records in (fetched or {}).items()
        }

    def _to_message(self, tp: TP, record: Sequence[Any]) -> FetchedRecords:
        last = record[-1]
        message = FetchedRecords(
            last.topic, last.partition, last.offset, last.timestamp / 1000, last.timestamp_type, None, None, None, None,
            tp=tp, generation_id=self.app.consumer_generation_id,
        )  # fmt: skip
        message.records = record
        self._fetched.add(message)
        return message

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Does nothing: offsets without a message are not waited for."""

    def _new_offset(self, tp: TP) -> int | None:
        # Faust's own looks for the first missing offset. If the group has committed nothing yet, it takes the first
        # acknowledged offset for the beginning.
        acked = self._acked[tp]
        if not acked:
            return None
        newest: int = max(acked)
        acked.clear()
        self._acked_index[tp].clear()
        return newest + 1


class Transport(aiokafka.Transport):
    Consumer = Consumer
