"""Faust's consumer, with lists of records where Faust has records.

What Faust does for each message on its way to an agent, five tasks of the event loop among it, costs more than all that
is done with a price afterwards. So a message here is a list of records as they were fetched from one partition: group,
rebalances, flow control and commits stay Faust's, and are paid for once a list.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakSet

from faust.transport.drivers import aiokafka
from faust.types import TP
from faust.types.tuples import ConsumerMessage

# A list is this long at most: the buffer is bounded in lists, and topics and partitions take turns by the list.
MOST = 32


class FetchedRecords(ConsumerMessage):
    """A message whose key and value are empty: `records` are aiokafka's, of one partition and in order.

    They are taken out when they have been handed over.
    """

    records: Sequence[Any] = ()


class Consumer(aiokafka.Consumer):
    """Acknowledgements are to come in the order of the offsets: what lies before one is done with."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._fetched: WeakSet[FetchedRecords] = WeakSet()

    @property
    def waiting(self) -> int:
        """Records that are in memory here and were not handed over."""
        return sum(len(message.records) for message in list(self._fetched))

    async def done(self, place: TP, offset: int) -> None:
        """The record is done with; the next commit says so."""
        self._acked[place].append(offset)

    async def commit_and_end_transactions(self) -> None:
        """At the end, and before partitions are given back, everything that is done with is committed."""
        # Faust's own only waits for a commit that is under way, and that one may have begun before the last of it.
        await self.maybe_wait_for_commit_to_finish()
        await super().commit_and_end_transactions()

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109 -- Faust's
        found = await super()._getmany(active_partitions, timeout)
        return {
            place: [records[first : first + MOST] for first in range(0, len(records), MOST)]
            for place, records in (found or {}).items()
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
        """Offsets that are nobody's message are none to wait for."""

    def _new_offset(self, tp: TP) -> int | None:
        # Not Faust's own, which looks for the first offset that is missing: where the group has committed nothing yet
        # it takes the first that is acknowledged for the beginning.
        acked = self._acked[tp]
        if not acked:
            return None
        newest: int = max(acked)
        acked.clear()
        self._acked_index[tp].clear()
        return newest + 1


class Transport(aiokafka.Transport):
    Consumer = Consumer
