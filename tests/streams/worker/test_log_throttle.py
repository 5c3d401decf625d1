from __future__ import annotations

import logging

import pytest

from streams.worker.log_throttle import LogThrottle


def test_the_same_text_is_logged_once_in_a_while() -> None:
    now = 0.0
    throttle = LogThrottle(60, clock=lambda: now)

    def passes(text: str, argument: int) -> bool:
        return throttle.filter(logging.LogRecord("n", logging.ERROR, "p", 1, text, (argument,), None))

    assert passes("no node %s", 1)
    assert not passes("no node %s", 2)
    assert passes("no topic %s", 1)
    now = 61
    assert passes("no node %s", 3)


@pytest.mark.parametrize(
    ("error", "has_traceback"), [(ConnectionResetError(104, "reset by peer"), False), (KeyError(1), True)]
)
def test_a_lost_connection_is_logged_without_a_traceback_and_a_defect_with_one(
    error: Exception, *, has_traceback: bool
) -> None:
    raised = (type(error), error, None)
    record = logging.LogRecord("n", logging.ERROR, "p", 1, "closing socket", (), raised)
    assert LogThrottle().filter(record)
    assert (record.exc_info is not None) == has_traceback
