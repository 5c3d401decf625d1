"""Settings to where Kafka is and what its topics are called."""

from __future__ import annotations

from liveshelf.settings import Settings, secret
from streams.config import KafkaConfig, KafkaSecurity, TopicConfig


def kafka_of(settings: Settings) -> KafkaConfig:
    s = settings
    security = KafkaSecurity(
        protocol=s.kafka_security,
        mechanism=s.kafka_sasl,
        username=s.kafka_username,
        password=secret(s.kafka_password),
        ca_file=str(s.kafka_ca_file) if s.kafka_ca_file else None,
    )
    return KafkaConfig(bootstrap=s.kafka, group=s.group, member=s.member, security=security)


def topics_of(settings: Settings) -> TopicConfig:
    s = settings
    return TopicConfig(
        live=s.topic,
        backfill=s.backfill_topic,
        quarantine=s.quarantine_topic,
        partitions=s.partitions,
        replication=s.replication,
    )
