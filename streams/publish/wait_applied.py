"""Waits until the workers have applied published events, by their committed offsets."""

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
    on_progress: Callable[[int], None] = lambda remaining: None,
    every_s: float = 0.5,
) -> None:
    """Waits until the group has committed up to `ends`, the offsets by partition of `Publisher.flush`.

    `on_progress` gets the number of records not committed yet. Raises Unavailable if some remain after `timeout_s`
    seconds.
    """
    deadline = time.monotonic() + timeout_s
    partitions = [TopicPartition(topic, partition) for partition in ends]
    if not partitions:
        return
    with admin_client(kafka) as client:
        while True:
            committed = _committed(client, kafka.group, partitions)
            remaining = sum(max(0, end - committed.get(partition, 0)) for partition, end in ends.items())
            on_progress(remaining)
            if not remaining:
                return
            if time.monotonic() >= deadline:
                raise Unavailable(
                    f"After {timeout_s:g} s {remaining} records of {topic} are not applied: is a worker of the group "
                    f"{kafka.group} running and ready?"
                )
            time.sleep(min(every_s, max(0.0, deadline - time.monotonic())))


def _committed(client: KafkaAdminClient, group: str, partitions: Sequence[TopicPartition]) -> dict[int, int]:
    """The group's offsets by partition; empty while a new broker has not found the group's coordinator yet."""
    try:
        offsets = client.list_group_offsets({group: partitions})[group]
    except RetriableError:
        return {}
    return {key.partition: max(0, value.offset) for key, value in offsets.items()}  # -1 if nothing is committed
