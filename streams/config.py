"""Configuration of the streaming side: addresses, names and limits. No mechanics here."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Any, Literal

Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


@dataclass(frozen=True, slots=True)
class KafkaSecurity:
    """Encryption and authentication. `ca_file` is a PEM file of the authority that signed the broker's certificate."""

    protocol: Protocol = "PLAINTEXT"
    mechanism: Mechanism = "PLAIN"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None

    @property
    def encrypted(self) -> bool:
        return self.protocol in ("SSL", "SASL_SSL")

    @property
    def authenticated(self) -> bool:
        return self.protocol in ("SASL_PLAINTEXT", "SASL_SSL")

    def ssl_context(self) -> ssl.SSLContext | None:
        return ssl.create_default_context(cafile=self.ca_file) if self.encrypted else None


@dataclass(frozen=True, slots=True)
class KafkaConfig:
    """The broker's address and a worker's consumer group. `bootstrap` is host:port, several separated by commas.

    `member` is a worker's name in the group, kept over restarts and unique among running workers. With it a killed
    worker gets its partitions back at once; without it, after the session has timed out.
    """

    bootstrap: str = "localhost:9092"
    group: str = "liveshelf"
    member: str | None = None
    security: KafkaSecurity = KafkaSecurity()

    @property
    def servers(self) -> list[str]:
        return [server.strip() for server in self.bootstrap.split(",") if server.strip()]

    def client_options(self) -> dict[str, Any]:
        """The connection settings that have the same names in kafka-python and aiokafka."""
        security = self.security
        options: dict[str, Any] = {
            "bootstrap_servers": self.servers,
            "security_protocol": security.protocol,
            "ssl_context": security.ssl_context(),
        }
        if security.authenticated:
            options |= {
                "sasl_mechanism": security.mechanism,
                "sasl_plain_username": security.username,
                "sasl_plain_password": security.password,
            }
        return options


@dataclass(frozen=True, slots=True)
class TopicConfig:
    """The topics and the settings they are created with.

    The number of partitions bounds the number of workers that share a topic. `max_bytes` is the largest event; the
    quarantine topic takes a little more for its headers. `quarantine_days` None keeps refused records for ever.
    """

    live: str = "products"
    backfill: str = "products-backfill"
    quarantine: str = "products-quarantine"
    partitions: int = 4
    replication: int = 1
    max_bytes: int = 8 * 1024 * 1024
    quarantine_days: int | None = None


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """Micro-batching of records.

    A batch ships at once if nothing is in flight; otherwise when it is full, or `within_s` seconds after its first
    record. A full batch has as many records as recently passed in about `goal_s` seconds, at most `max_records`. So
    price changes form large batches and photos small ones.

    At most `depth` batches are in flight. `buffer` bounds the records that wait in memory to be batched; the consumer
    fetches again when the buffer has emptied by about a third.
    """

    max_records: int = 256
    within_s: float = 0.05
    goal_s: float = 2.0
    depth: int = 4
    buffer: int = 2048


@dataclass(frozen=True, slots=True)
class OutageRetryPolicy:
    """Exponential backoff of a stage: waits are uniform between 0 and a ceiling that doubles up to `max_s` seconds."""

    initial_s: float = 0.2
    max_s: float = 15.0


@dataclass(frozen=True, slots=True)
class StallPolicy:
    """A worker with work is stalled after `seconds` without progress, checked every `look_every_s` seconds.

    `seconds` must be longer than any single call of a stage may take, its timeout included.
    """

    seconds: float = 300.0
    look_every_s: float = 5.0


@dataclass(frozen=True, slots=True)
class WorkerPolicy:
    """Batching, retries and shutdown of a worker. Durations are in seconds.

    After SIGTERM, `drain_s` bounds the wait for batches in flight, and `leave_s` the time for the last commit and for
    leaving the group, which would never end during an outage of the broker. After `session_s` without a heartbeat the
    broker assigns a worker's partitions to others.
    """

    batch: BatchPolicy = BatchPolicy()
    retry: OutageRetryPolicy = OutageRetryPolicy()
    stall: StallPolicy = StallPolicy()
    commit_every_s: float = 1.0
    drain_s: float = 20.0
    leave_s: float = 10.0
    session_s: float = 15.0
