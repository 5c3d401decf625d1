"""Apache Kafka on this machine: one KRaft node in a process of its own, installed from package registries alone."""

from __future__ import annotations

from embedded.broker.jars import fetch
from embedded.broker.process import Broker, prepare

__all__ = ["Broker", "fetch", "prepare"]
