"""Has the worker applied what was published? Its committed offsets say so."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from kafka import KafkaAdminClient, TopicPartition
from kafka.errors import RetriableError

from catalog.errors import Unavailable
from streams.config import KafkaConfig
from streams.kafka_client import admin_client


def wait_until_applied(
    kafka: KafkaConfig,
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
            committed = _committed(client, kafka.group, places)
            left = sum(max(0, end - committed.get(partition, 0)) for partition, end in ends.items())
            on_progress(left)
            if not left:
                return
            if time.monotonic() >= deadline:
                raise Unavailable(
                    f"After {timeout_s:g} s {left} records of {topic} are not applied: is a worker of the group "
                    f"{kafka.group} running and ready?"
                )
            time.sleep(min(every_s, max(0.0, deadline - time.monotonic())))


def _committed(client: KafkaAdminClient, group: str, places: Sequence[TopicPartition]) -> dict[int, int]:
    """The group's offsets by partition; none while the broker still looks for who keeps them, as a new one does."""
    try:
        offsets = client.list_group_offsets({group: places})[group]
    except RetriableError:
        return {}
    return {place.partition: max(0, at.offset) for place, at in offsets.items()}  # -1 where nothing is committed
