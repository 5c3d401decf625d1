"""The broker keeps what it acknowledged, has one owner, and never outlives the process that started it."""

from __future__ import annotations

from embedded.broker.probe import answers


def test_answers_once_started(broker: str) -> None:
    assert answers(int(broker.rpartition(":")[2]))
