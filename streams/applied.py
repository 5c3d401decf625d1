"""Has the worker applied what was published? Its committed offsets say so."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from kafka import TopicPartition

from catalog.errors import Unavailable
from streams.connection import admin_client
from streams.policy import Kafka


def wait_until_applied(
    kafka: Kafka,
    topic: str,
    ends: Mapping[int, int],
    *,
    timeout_s: float,
    on_progress: Callable[[int], None] = lambda left: None,
    every_s: float = 0.5,
) -> None:
    """Waits until the group has committed past `ends`, the offsets by partition that `Publisher.flush` gave.

    `on_progress` gets how many records are not committed yet. Raises Unavailable when some are left after `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    places = [TopicPartition(topic, partition) for partition in ends]
    if not places:
        return
    with admin_client(kafka) as client:
        while True:
            committed = client.list_group_offsets({kafka.group: places})[kafka.group]
            left = sum(max(0, ends[p.partition] - max(0, committed[p].offset)) for p in places)
            on_progress(left)
            if not left:
                return
            if time.monotonic() >= deadline:
                raise Unavailable(
                    f"After {timeout_s:g} s {left} records of {topic} are not applied: is a worker of the group "
                    f"{kafka.group} running and ready?"
                )
            time.sleep(min(every_s, max(0.0, deadline - time.monotonic())))
