"""Configuration of the broker: its properties, its logging and its Java command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

MIB = 1024 * 1024
MESSAGE_BYTES = 8 * MIB
HEAP = "256m"

# One node: nothing to replicate to, one partition each for Kafka's own topics, and buffers that fit a small heap.
ONE_NODE: dict[str, str | int] = {
    "process.roles": "broker,controller",
    "node.id": 1,
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "CLIENTS",
    "listener.security.protocol.map": "CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "auto.create.topics.enable": "false",
    "num.partitions": 4,
    "default.replication.factor": 1,
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 1,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 1,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    "share.coordinator.state.topic.num.partitions": 1,
    "group.initial.rebalance.delay.ms": 0,
    "message.max.bytes": MESSAGE_BYTES,
    "replica.fetch.max.bytes": MESSAGE_BYTES,
    "log.segment.bytes": 64 * MIB,
    # Kafka preallocates this for each segment's index; 1 MiB indexes far more than one segment contains.
    "log.index.size.max.bytes": MIB,
    "log.retention.hours": 7 * 24,
    # After a month without a worker, reading continues where it stopped.
    "offsets.retention.minutes": 31 * 24 * 60,
    "log.cleaner.dedupe.buffer.size": 16 * MIB,
    "num.network.threads": 2,
    "num.io.threads": 4,
    "background.threads": 2,
    # After a kill the node can register again only after its last session has expired, so sessions are short. A node
    # that loses its session by a stall gets it back with its next heartbeat.
    "broker.session.timeout.ms": 4_000,
    "broker.heartbeat.interval.ms": 500,
}

LOG4J = """\
<Configuration status="error" shutdownHook="disable">
  <Appenders>
    <RollingFile name="file" fileName="{log}" filePattern="{log}.%i">
      <PatternLayout pattern="%d{{ISO8601}} %-5p %c{{1}} %m%n"/>
      <SizeBasedTriggeringPolicy size="8MB"/>
      <DefaultRolloverStrategy max="2"/>
    </RollingFile>
  </Appenders>
  <Loggers>
    <Root level="warn"><AppenderRef ref="file"/></Root>
    <Logger name="kafka.server.KafkaRaftServer" level="info"/>
    <Logger name="org.apache.kafka" level="warn"/>
  </Loggers>
</Configuration>
"""


def properties(data: Path, *, clients: int, controller: int) -> str:
    """The text of server.properties for a node with its log below `data` that listens on these ports."""
    settings = ONE_NODE | {
        "listeners": f"CLIENTS://127.0.0.1:{clients},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"CLIENTS://127.0.0.1:{clients}",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "log.dirs": str(data / "topics"),
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def java(home: Path, jars: Sequence[Path], data: Path, options: Sequence[str] = ()) -> list[str]:
    """The command line before the main class, for a process that starts fast and stays small."""
    return [
        str(home / "bin" / "java"),
        *options,
        f"-Xmx{HEAP}",
        "-XX:TieredStopAtLevel=1",
        "-XX:+UseSerialGC",
        "-XX:-UsePerfData",
        "-XX:+ExitOnOutOfMemoryError",
        "-Djava.awt.headless=true",
        f"-Dlog4j2.configurationFile={data / 'log4j2.xml'}",
        "-cp",
        ":".join(str(jar) for jar in jars),
    ]
