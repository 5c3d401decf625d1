"""How many records wait that the lanes have not been given."""

from __future__ import annotations

import asyncio
from typing import Any

import faust
from aiokafka.errors import KafkaError
from faust.exceptions import ConsumerNotStarted

from catalog.errors import Unavailable


async def consumer_lag(app: faust.App, *, timeout_s: float) -> int:
    """Those that are fetched and not handed over, and those that the broker has and Faust has not fetched.

    Counted from where the consumer would fetch next and not from what is committed: behind the last record of a
    transaction stands a marker that is never anybody's record. Raises Unavailable where the broker does not say.
    """
    consumer: Any = app.consumer
    waiting: int = consumer.waiting
    return waiting + await _unfetched(app, timeout_s)


async def _unfetched(app: faust.App, timeout_s: float) -> int:
    places = app.consumer.assignment()
    try:
        async with asyncio.timeout(timeout_s):
            ends = await app.consumer.highwaters(*places) if places else {}
            left = 0
            for place, end in ends.items():
                left += max(0, end - (await app.consumer.position(place) or 0))
            return left
    except (KafkaError, ConsumerNotStarted, TimeoutError, AssertionError, ValueError) as error:
        # Among these: the partition was taken away between the two questions.
        raise Unavailable(f"The broker does not say how much is waiting ({type(error).__name__}).") from error
