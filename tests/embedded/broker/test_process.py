"""The broker keeps acknowledged records, has one owner, and never outlives the process that started it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic

from embedded.broker import Broker
from embedded.broker.probe import answers, free_port
from embedded.errors import EmbeddedError
from tests.fixtures_broker import CACHE

PARENT = """
import sys, time
from pathlib import Path
from embedded.broker import Broker
broker = Broker.start(Path(sys.argv[1]), cache=Path(sys.argv[2]), timeout=90)
print(broker.pid, flush=True)
time.sleep(300)
"""


def start(data: Path, port: int = 0) -> Broker:
    return Broker.start(data, cache=CACHE, port=port, timeout=90)


def send(bootstrap: str, topic: str, values: list[bytes]) -> None:
    """Returns when the broker has acknowledged all of them."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic(topic, 1, 1)])
    admin.close()
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", max_request_size=8_000_000)
    for sent in [producer.send(topic, value) for value in values]:
        sent.get(timeout=30)
    producer.close()


def received(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = KafkaConsumer(
        topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=30_000
    )
    try:
        return [next(consumer).value for _ in range(count)]
    finally:
        consumer.close()


def test_answers_once_started(broker: str) -> None:
    assert answers(int(broker.rpartition(":")[2]))


def test_nobody_answers_on_a_free_port() -> None:
    assert not answers(free_port())


def test_takes_a_record_of_several_megabytes(broker: str) -> None:
    send(broker, "large", [bytes(7_000_000)])
    assert [len(value) for value in received(broker, "large", 1)] == [7_000_000]


def test_a_topic_is_never_made_by_asking_for_it(broker: str) -> None:
    consumer = KafkaConsumer("misspelt", bootstrap_servers=broker, consumer_timeout_ms=1_000)
    assert list(consumer) == []
    consumer.close()
    admin = KafkaAdminClient(bootstrap_servers=broker)
    assert "misspelt" not in admin.list_topics()
    admin.close()


def test_keeps_what_it_acknowledged_through_a_kill_and_a_stop_and_returns_on_its_port(tmp_path: Path) -> None:
    values = [f"value {number}".encode() for number in range(500)]
    first = start(tmp_path)
    port = int(first.bootstrap.rpartition(":")[2])
    try:
        send(first.bootstrap, "records", values)
    finally:
        first.kill()
    assert first.poll() == -9
    with start(tmp_path, port) as second:
        assert second.bootstrap == first.bootstrap
        assert received(second.bootstrap, "records", len(values)) == values
        with pytest.raises(EmbeddedError, match=rf"{tmp_path} is in use by a broker \(process \d+\)"):
            start(tmp_path)
    assert not answers(port)
    with start(tmp_path, port) as third:
        assert received(third.bootstrap, "records", len(values)) == values


def test_java_ends_when_the_process_that_started_it_is_killed_and_the_folder_is_free_again(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path), str(CACHE)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent, parent.stdout:
        java = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        # At once, while Java is still ending: the new owner waits for the remains of the old.
        with start(tmp_path) as again:
            assert not java.is_running() or java.status() == psutil.STATUS_ZOMBIE
            assert again.poll() is None


def test_a_port_in_use_is_one_sentence(tmp_path: Path, broker: str) -> None:
    taken = int(broker.rpartition(":")[2])
    with pytest.raises(EmbeddedError, match=r"127.0.0.1:\d+ is in use"):
        start(tmp_path, taken)
