from __future__ import annotations

import ssl

import faust
import pytest

from streams.config import KafkaConfig, KafkaSecurity
from streams.worker.app import create_app


def test_the_plain_broker_needs_no_credentials() -> None:
    kafka = KafkaConfig("a:9092, b:9092")
    assert kafka.client_options() == {
        "bootstrap_servers": ["a:9092", "b:9092"],
        "security_protocol": "PLAINTEXT",
        "ssl_context": None,
    }
    assert create_app(kafka, {}).conf.broker_credentials is None


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
def test_user_and_password_reach_both_clients_and_no_text(protocol: str) -> None:
    security = KafkaSecurity(protocol=protocol, mechanism="SCRAM-SHA-256", username="shop", password="hush")  # type: ignore[arg-type]
    kafka = KafkaConfig("a:9092", security=security)
    assert "hush" not in repr(kafka)
    options = kafka.client_options()
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("shop", "hush")
    credentials = create_app(kafka, {}).conf.broker_credentials
    assert isinstance(credentials, faust.SASLCredentials)
    assert (credentials.protocol.value, credentials.mechanism.value) == (protocol, "SCRAM-SHA-256")
    assert isinstance(options["ssl_context"], ssl.SSLContext) is (protocol == "SASL_SSL")
    assert isinstance(credentials.ssl_context, ssl.SSLContext) is (protocol == "SASL_SSL")


def test_tls_alone_checks_the_brokers_certificate() -> None:
    kafka = KafkaConfig("a:9093", security=KafkaSecurity(protocol="SSL"))
    context = kafka.client_options()["ssl_context"]
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert isinstance(create_app(kafka, {}).conf.broker_credentials, faust.SSLCredentials)
