"""What the streaming side is told: addresses, names and limits. No mechanics here."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Any, Literal

Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


@dataclass(frozen=True, slots=True)
class KafkaSecurity:
    """How the broker is spoken to. `ca_file` is a PEM file of the authority that signed its certificate."""

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
    """Where the broker is and as which consumer group a worker reads. `bootstrap` is host:port, several by commas.

    `member` is a name that a worker keeps over restarts, no two alive with the same: with it a worker that was killed
    gets its partitions back at once, without it after the session has timed out.
    """

    bootstrap: str = "localhost:9092"
    group: str = "liveshelf"
    member: str | None = None
    security: KafkaSecurity = KafkaSecurity()

    @property
    def servers(self) -> list[str]:
        return [server.strip() for server in self.bootstrap.split(",") if server.strip()]

    def client_options(self) -> dict[str, Any]:
        """The connection settings that kafka-python and aiokafka know by the same names."""
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
    """The topics and what they are created with.

    Partitions bound how many workers can share a topic. `max_bytes` is the largest event; quarantine takes a little
    more, for what it adds. `quarantine_days` is None where what was refused is kept for ever.
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
    """How records become batches.

    A batch ships at once when nothing is in flight; otherwise when it is full, or `within_s` seconds after its first
    record. Full is what has lately passed in about `goal_s` seconds, at most `max_records`: price changes come in large
    batches and photos in small ones. At most `depth` batches are in flight. `buffer` bounds the records that wait in
    memory before they are gathered; the consumer fetches again when it has emptied by about a third.
    """

    max_records: int = 256
    within_s: float = 0.05
    goal_s: float = 2.0
    depth: int = 4
    buffer: int = 2048


@dataclass(frozen=True, slots=True)
class OutageRetryPolicy:
    """The wait before a stage is tried again: uniform between 0 and a ceiling that doubles up to `max_s` seconds."""

    initial_s: float = 0.2
    max_s: float = 15.0


@dataclass(frozen=True, slots=True)
class StallPolicy:
    """When a worker with work to do counts as stuck: after `seconds` in which nothing moves, looked at now and then.

    `seconds` is to be longer than any one call of a stage may take, its time-out included.
    """

    seconds: float = 300.0
    look_every_s: float = 5.0


@dataclass(frozen=True, slots=True)
class WorkerPolicy:
    """How a worker batches, retries and leaves, in seconds.

    `drain_s` bounds what SIGTERM waits for batches in flight, `leave_s` what committing and leaving the group takes
    after that, which a broker that is away would hold up for ever. After `session_s` without a sign of life the broker
    gives a worker's partitions to others.
    """

    batch: BatchPolicy = BatchPolicy()
    retry: OutageRetryPolicy = OutageRetryPolicy()
    stall: StallPolicy = StallPolicy()
    commit_every_s: float = 1.0
    drain_s: float = 20.0
    leave_s: float = 10.0
    session_s: float = 15.0
