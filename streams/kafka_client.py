"""Access to the broker from outside the worker, with its errors as sentences."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import (
    AuthorizationError,
    KafkaError,
    SaslAuthenticationFailedError,
    UnknownTopicOrPartitionError,
)

from catalog.errors import InvalidInput, LiveshelfError, Unavailable
from streams.config import KafkaConfig

CONNECT_MS = 5_000


@contextmanager
def admin_client(kafka: KafkaConfig) -> Iterator[KafkaAdminClient]:
    """A kafka-python admin client, closed at the end. Raises Unavailable, or InvalidInput if the broker refuses."""
    check_address(kafka)
    with sentences(kafka):
        client = KafkaAdminClient(**kafka.client_options(), bootstrap_timeout_ms=CONNECT_MS)
        try:
            yield client
        finally:
            client.close()


def read_topic(kafka: KafkaConfig, topic: str, *, start: tuple[int, int] | None = None) -> Iterator[Any]:
    """kafka-python's ConsumerRecords of a topic, from its start to its present end, partition by partition.

    `start` is a partition and an offset: with it, only that partition is read, from that offset.
    """
    check_address(kafka)
    with sentences(kafka):
        consumer = KafkaConsumer(
            **kafka.client_options(), enable_auto_commit=False, bootstrap_timeout_ms=CONNECT_MS, group_id=None
        )
        try:
            yield from _read(consumer, topic, start)
        finally:
            consumer.close()


def _read(consumer: Any, topic: str, start: tuple[int, int] | None) -> Iterator[Any]:
    for partition in sorted(consumer.partitions_for_topic(topic) or ()):
        if start is not None and partition != start[0]:
            continue
        topic_partition = TopicPartition(topic, partition)
        consumer.assign([topic_partition])
        if start is None:
            consumer.seek_to_beginning(topic_partition)
        else:
            consumer.seek(topic_partition, start[1])
        end = consumer.end_offsets([topic_partition])[topic_partition]
        while consumer.position(topic_partition) < end:
            for message in consumer.poll(timeout_ms=1000).get(topic_partition, ()):
                if message.offset < end:
                    yield message


def check_address(kafka: KafkaConfig) -> None:
    """Raises Unavailable if no connection to any of the broker's addresses succeeds, InvalidInput for a bad address.

    kafka-python would retry for long, and a client whose construction fails leaves its sockets open.
    """
    reason: OSError | None = None
    for server in kafka.servers:
        host, _, port = server.rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_MS / 1000):
                return
        except ValueError:
            raise InvalidInput(f"The broker's address {server!r} is not host:port: correct it.") from None
        except OSError as error:
            reason = error
    raise sentence(kafka, reason or OSError())


@contextmanager
def sentences(kafka: KafkaConfig) -> Iterator[None]:
    """Turns errors of kafka-python into Unavailable or InvalidInput, naming the broker."""
    try:
        yield
    except (KafkaError, OSError) as error:
        raise sentence(kafka, error) from error


def sentence(kafka: KafkaConfig, error: Exception) -> LiveshelfError:
    """An error of the broker as a sentence with what to do next."""
    if isinstance(error, AuthorizationError | SaslAuthenticationFailedError):
        return InvalidInput(
            f"The broker at {kafka.bootstrap} refuses this user ({_name(error)}): check name and rights."
        )
    if isinstance(error, UnknownTopicOrPartitionError):
        return InvalidInput(f"The broker at {kafka.bootstrap} does not have that topic: create the topics first.")
    return Unavailable(
        f"The broker at {kafka.bootstrap} does not answer ({_name(error)}): start it, or correct its address."
    )


def _name(error: Exception) -> str:
    return type(error).__name__
