from __future__ import annotations

import logging

from streams.quiet import OnceInAWhile


def test_the_same_complaint_is_logged_once_in_a_while() -> None:
    now = 0.0
    quiet = OnceInAWhile(60, clock=lambda: now)

    def passes(text: str, argument: int) -> bool:
        return quiet.filter(logging.LogRecord("n", logging.ERROR, "p", 1, text, (argument,), None))

    assert passes("no node %s", 1)
    assert not passes("no node %s", 2)
    assert passes("no topic %s", 1)
    now = 61
    assert passes("no node %s", 3)
