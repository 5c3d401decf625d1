"""Consumer lag: the number of records that no lane has received yet."""

from __future__ import annotations

import asyncio
from typing import Any

import faust
from aiokafka.errors import KafkaError
from faust.exceptions import ConsumerNotStarted

from catalog.errors import Unavailable


async def consumer_lag(app: faust.App, *, timeout_s: float) -> int:
    """Counts records that are fetched but not handed over, and records that Faust has not fetched yet.

    It counts from the consumer's position and not from the committed offset, because the marker after a transaction's
    last record is never a record. Raises Unavailable if the broker does not answer within `timeout_s` seconds.
    """
    consumer: Any = app.consumer
    fetched: int = consumer.waiting
    return fetched + await _unfetched(app, timeout_s)


async def _unfetched(app: faust.App, timeout_s: float) -> int:
    partitions = app.consumer.assignment()
    try:
        async with asyncio.timeout(timeout_s):
            ends = await app.consumer.highwaters(*partitions) if partitions else {}
            count = 0
            for partition, end in ends.items():
                count += max(0, end - (await app.consumer.position(partition) or 0))
            return count
    except (KafkaError, ConsumerNotStarted, TimeoutError, AssertionError, ValueError) as error:
        # Also if the partition was revoked between the two calls.
        raise Unavailable(f"The broker does not report the consumer lag ({type(error).__name__}).") from error
