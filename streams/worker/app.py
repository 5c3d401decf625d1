"""The Faust application, which only hands records over to the lanes.

Faust acknowledges an event even if its processing raised, and reads an unacknowledged one again only after a rebalance
or a restart. So the streams use manual acknowledgement, and the agents never raise.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import faust
from faust.tables import TableManager
from mode import CrashingSupervisor

from streams.config import KafkaConfig, WorkerPolicy
from streams.pipeline.delivery import Delivery, record_of
from streams.worker.consumer import MAX_RECORDS, Transport

Put = Callable[[Delivery], Awaitable[None]]

# Faust's own watchdogs would treat a pause during an outage as a hang: log errors every few seconds and leave the
# group. A paused worker keeps its partitions and reports itself as not ready.
NEVER_S = 7 * 24 * 3600.0


class NoTableManager(TableManager):
    """Faust's table manager without its wait of one second at each start. There are no tables."""

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()


class LanesApp(faust.App):
    """Faust without its folder for tables, because the working directory may be read-only."""

    async def on_first_start(self) -> None: ...

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)


def create_app(kafka: KafkaConfig, lanes: Mapping[str, Put], policy: WorkerPolicy = WorkerPolicy()) -> LanesApp:  # noqa: B008
    """One application for all lanes, by topic. It passes bytes unchanged, tombstones included; start it in a loop."""
    app = LanesApp(
        kafka.group,
        broker=[f"kafka://{server}" for server in kafka.servers],
        broker_credentials=_credentials(kafka),
        store="memory://",
        TableManager=NoTableManager,
        web_enabled=False,
        autodiscover=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        agent_supervisor=CrashingSupervisor,
        stream_wait_empty=False,
        stream_buffer_maxsize=max(2, policy.batch.buffer // MAX_RECORDS),
        stream_processing_timeout=NEVER_S,
        broker_commit_interval=policy.commit_every_s,
        broker_commit_livelock_soft_timeout=NEVER_S,
        broker_session_timeout=policy.session_s,
        broker_heartbeat_interval=policy.session_s / 5,
        broker_max_poll_interval=NEVER_S,
        broker_max_poll_records=500,
        consumer_group_instance_id=kafka.member,
        consumer_auto_offset_reset="earliest",
        consumer_metadata_max_age_ms=30_000,
    )
    for topic, put in lanes.items():
        _agent(app, topic, put)
    return app


def _agent(app: LanesApp, topic: str, put: Put) -> None:
    channel = app.topic(
        topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", allow_empty=True
    )

    async def hand_over(stream: Any) -> None:
        manual = stream.noack()
        async for event in manual.events():
            message: Any = event.message
            consumer: Any = app.consumer
            for fetched in message.records:
                await put(Delivery(record_of(fetched), partial(consumer.acknowledge, message.tp, fetched.offset)))
            message.records = ()

    app.agent(channel, name=f"hand-over-{topic}", concurrency=1)(hand_over)


def _credentials(kafka: KafkaConfig) -> faust.SASLCredentials | faust.SSLCredentials | None:
    security = kafka.security
    context = security.ssl_context()
    if security.authenticated:
        return faust.SASLCredentials(
            username=security.username, password=security.password, mechanism=security.mechanism, ssl_context=context
        )
    return faust.SSLCredentials(context) if context else None
