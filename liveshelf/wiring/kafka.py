"""Settings to where Kafka is and what its topics are called."""

from __future__ import annotations

from liveshelf.settings import Settings, secret
from streams.config import Kafka, Security, Topics


def kafka_of(settings: Settings) -> Kafka:
    s = settings
    security = Security(
        protocol=s.kafka_security,
        mechanism=s.kafka_sasl,
        username=s.kafka_username,
        password=secret(s.kafka_password),
        ca_file=str(s.kafka_ca_file) if s.kafka_ca_file else None,
    )
    return Kafka(bootstrap=s.kafka, group=s.group, member=s.member, security=security)


def topics_of(settings: Settings) -> Topics:
    s = settings
    return Topics(
        live=s.topic,
        backfill=s.backfill_topic,
        quarantine=s.quarantine_topic,
        partitions=s.partitions,
        replication=s.replication,
    )
