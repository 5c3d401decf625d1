"""Creates, checks and counts the topics."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kafka.errors import TopicAlreadyExistsError, for_code

from catalog.errors import InvalidInput
from streams.config import KafkaConfig, TopicConfig
from streams.kafka_client import admin_client

DAY_MS = 24 * 3600 * 1000
# Bytes that a quarantined record has in addition to its own: its origin and the reason, as headers.
HEADERS_BYTES = 64 * 1024


def create_topics(kafka: KafkaConfig, topics: TopicConfig) -> list[str]:
    """Creates the missing topics and returns their names.

    Raises InvalidInput for a topic that has fewer partitions than configured or that the broker refuses to create,
    Unavailable if the broker does not answer.
    """
    configs = _configs(topics)
    with admin_client(kafka) as client:
        response = client.create_topics(configs, raise_errors=False)
        created = [topic["name"] for topic in response["topics"] if _is_new(topic)]
        client.wait_for_topics(list(configs))
        partitions = {topic["name"]: len(topic["partitions"]) for topic in client.describe_topics(list(configs))}
    for name, count in partitions.items():
        if count < topics.partitions:
            raise InvalidInput(
                f"The topic {name} has {count} partitions, not {topics.partitions}: ask for {count}, or use a new "
                f"topic, because adding partitions would break the order of a product's events."
            )
    return created


def check_topics(kafka: KafkaConfig, names: Iterable[str]) -> None:
    """Raises InvalidInput if a topic does not exist, Unavailable if the broker does not answer."""
    with admin_client(kafka) as client:
        missing = sorted(set(names) - set(client.list_topics()))
    if missing:
        raise InvalidInput(
            f"The broker at {kafka.bootstrap} has no topic {' and no topic '.join(missing)}: create it first."
        )


def partitions_of(kafka: KafkaConfig, topics: TopicConfig) -> dict[str, int]:
    """The number of partitions of each topic, 0 if it does not exist. Raises Unavailable and InvalidInput."""
    with admin_client(kafka) as client:
        counts = {topic["name"]: len(topic["partitions"]) for topic in client.describe_topics()}
    return {name: counts.get(name, 0) for name in _configs(topics)}


def _configs(topics: TopicConfig) -> dict[str, dict[str, Any]]:
    events = {"max.message.bytes": str(topics.max_bytes)}
    days = topics.quarantine_days
    quarantine = {
        "max.message.bytes": str(topics.max_bytes + HEADERS_BYTES),
        "retention.ms": str(-1 if days is None else days * DAY_MS),
    }
    configs = {topics.live: events, topics.backfill: events, topics.quarantine: quarantine}
    return {
        name: {"num_partitions": topics.partitions, "replication_factor": topics.replication, "configs": config}
        for name, config in configs.items()
    }


def _is_new(topic: dict[str, Any]) -> bool:
    error = for_code(topic["error_code"])
    if error is TopicAlreadyExistsError:
        return False
    if topic["error_code"]:
        reason = topic.get("error_message") or error.__name__
        raise InvalidInput(f"The broker does not create the topic {topic['name']}: {str(reason).rstrip('.')}.")
    return True
