"""Settings to the configuration of Kafka's connection and topics."""

from __future__ import annotations

from liveshelf.settings import Settings, secret
from streams.config import KafkaConfig, KafkaSecurity, TopicConfig


def kafka_of(settings: Settings) -> KafkaConfig:
    s = settings
    security = KafkaSecurity(
        protocol=s.kafka_security_protocol,
        mechanism=s.kafka_sasl_mechanism,
        username=s.kafka_sasl_username,
        password=secret(s.kafka_sasl_password),
        ca_file=str(s.kafka_ssl_ca_file) if s.kafka_ssl_ca_file else None,
    )
    return KafkaConfig(
        bootstrap=s.kafka_bootstrap_servers, group=s.kafka_group_id, member=s.kafka_group_instance_id, security=security
    )


def topics_of(settings: Settings) -> TopicConfig:
    s = settings
    return TopicConfig(
        live=s.live_topic,
        backfill=s.backfill_topic,
        quarantine=s.quarantine_topic,
        partitions=s.topic_partitions,
        replication=s.topic_replication_factor,
    )
