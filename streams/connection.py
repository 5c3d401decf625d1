"""Talking to the broker from outside the worker, with its errors as sentences."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kafka import KafkaAdminClient
from kafka.errors import (
    AuthorizationError,
    KafkaError,
    SaslAuthenticationFailedError,
    UnknownTopicOrPartitionError,
)

from catalog.errors import LiveshelfError, Misuse, Unavailable
from streams.policy import Kafka

CONNECT_MS = 5_000


@contextmanager
def admin_client(kafka: Kafka) -> Iterator[KafkaAdminClient]:
    """A kafka-python admin client, closed at the end. Raises Unavailable, or Misuse for what was refused."""
    with sentences(kafka):
        client = KafkaAdminClient(**kafka.client_options(), bootstrap_timeout_ms=CONNECT_MS)
        try:
            yield client
        finally:
            client.close()


@contextmanager
def sentences(kafka: Kafka) -> Iterator[None]:
    """Turns what kafka-python raises into Unavailable or Misuse, naming the broker."""
    try:
        yield
    except (KafkaError, OSError) as error:
        raise sentence(kafka, error) from error


def sentence(kafka: Kafka, error: Exception) -> LiveshelfError:
    """What went wrong with the broker and what to do next."""
    if isinstance(error, AuthorizationError | SaslAuthenticationFailedError):
        return Misuse(f"The broker at {kafka.bootstrap} refuses this user ({_name(error)}): check name and rights.")
    if isinstance(error, UnknownTopicOrPartitionError):
        return Misuse(f"The broker at {kafka.bootstrap} does not have that topic: create the topics first.")
    return Unavailable(
        f"The broker at {kafka.bootstrap} does not answer ({_name(error)}): start it, or correct its address."
    )


def _name(error: Exception) -> str:
    return type(error).__name__
