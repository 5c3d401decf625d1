"""Limits repeated messages of the Kafka clients, which log many a second while a broker is unavailable."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

LOGGERS = (
    "aiokafka",
    "aiokafka.client",
    "aiokafka.cluster",
    "aiokafka.conn",
    "aiokafka.consumer.fetcher",
    "aiokafka.consumer.group_coordinator",
    "aiokafka.producer.producer",
    "aiokafka.producer.sender",
    "kafka.net.connection",
    "kafka.net.manager",
    "kafka.net.transport",
)

# A broker that has just started has no group coordinator for some seconds. The client retries, so this is no error.
START_UP_MESSAGE = "Group Coordinator Request failed"
START_UP_S = 30.0


class LogThrottle(logging.Filter):
    """Logs each message text once in `every_s` seconds, whatever its arguments.

    A lost connection is logged without its traceback, which does not show the cause.
    """

    def __init__(self, every_s: float = 60.0, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._every_s = every_s
        self._clock = clock
        self._last: dict[str, float] = {}
        self._start_up_began: float | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is logged."""
        now, text = self._clock(), str(record.msg)
        if text.startswith(START_UP_MESSAGE):
            if self._start_up_began is None:
                self._start_up_began = now
            if now - self._start_up_began < START_UP_S:
                return False
        if now - self._last.get(text, -self._every_s) < self._every_s:
            return False
        self._last[text] = now
        if record.exc_info and isinstance(record.exc_info[1], OSError):
            record.exc_info = None
        return True


_FILTER = LogThrottle()


def throttle_client_logs() -> None:
    """Adds the filter to the loggers of the Kafka clients. Calling it again changes nothing."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)
