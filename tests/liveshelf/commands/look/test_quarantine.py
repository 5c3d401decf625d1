"""Quarantine as a person looks after it."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from click.testing import CliRunner, Result

from catalog.domain.product import ProductKey
from catalog.domain.record import Record, Reject, Stage
from catalog.events.parser import key_bytes
from liveshelf.cli import main
from liveshelf.commands.times import moment_ms, span_ms
from liveshelf.settings import Settings, environment, load_settings
from liveshelf.wiring.kafka import kafka_of, topics_of
from streams.kafka_client import read_topic
from streams.quarantine.topic import KafkaQuarantine
from tests.integration.streaming import new_place

SENT = round(time.time() * 1000) - 3_600_000  # young enough for the broker to keep what is sent back


@pytest.fixture
def shelf(broker: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings whose quarantine holds, in one partition, JSON that is no event and bytes that are no text."""
    topics = new_place(broker, partitions=1).topics
    settings = load_settings(
        kafka_bootstrap_servers=broker,
        live_topic=topics.live,
        backfill_topic=topics.backfill,
        quarantine_topic=topics.quarantine,
        topic_partitions=1,
    )
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    asyncio.run(fill(settings))
    return settings


async def fill(settings: Settings) -> None:
    odd = b'{"id": "sku-1", "title": 5, "note": "[red]\x1b[2J"}'.replace(b"\x1b", b"\\u001b")
    rejects = [
        Reject(
            Record(key_bytes(ProductKey("default", "sku-1")), odd, settings.live_topic, 0, 11, SENT),
            Stage.SCHEMA,
            "title: 5 is not a string [bold]",
        ),
        Reject(
            Record(b"\xfe", b"\xff\x00\x1b", settings.backfill_topic, 0, 12, SENT + 1),
            Stage.PARSE,
            "not UTF-8",
        ),
    ]
    async with KafkaQuarantine(kafka_of(settings), topics_of(settings), clock=lambda: 1_700_000_000.0) as quarantine:
        await quarantine.put(rejects)


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, ["quarantine", *arguments], input=stdin)


def said(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_table_can_be_read(shelf: Settings):
    table = said("list")
    for part in (
        "2023-11-14 22:13:20",
        "schema",
        "default/sku-1",
        "[bold]",
        f"{shelf.live_topic}:0:11",
        "0:1",
        "2 records.",
    ):
        assert part in table
    assert "sku-1" not in said("list", "--stage", "parse")
    assert "Nothing." in said("list", "--reason", "no such")
    assert "the newest 1 are shown" in said("list", "--limit", "1")


def test_machines_get_an_object_a_line(shelf: Settings):
    rows = [json.loads(line) for line in run("list", "--json").stdout.splitlines()]
    assert [(row["place"], row["stage"], row["replayed_at"]) for row in rows] == [
        ("0:0", "schema", None),
        ("0:1", "parse", None),
    ]
    assert rows[0]["products"] == ["default/sku-1"]
    assert (rows[1]["key"], rows[1]["bytes"]) == ("fe", 3)


def test_one_record_is_shown_whole(shelf: Settings):
    text = said("show", "0:0")
    for part in ("title: 5 is not a string [bold]", f"{shelf.live_topic}:0:11", str(SENT), '"note": "[red]', "no"):
        assert part in text
    assert "ff 00 1b" in said("show", "0:1")
    assert run("show", "0:1", "--raw").stdout_bytes == b"\xff\x00\x1b"


@pytest.mark.parametrize(("place", "sentence"), [("0:9", "Nothing is in quarantine at 0:9"), ("x", "PARTITION:OFFSET")])
def test_a_place_where_nothing_is_is_a_sentence(shelf: Settings, place: str, sentence: str):
    result = run("show", place)
    assert result.exit_code == 1
    assert sentence in result.output


def test_a_replay_asks_sends_and_is_remembered(shelf: Settings):
    def sent() -> list[tuple[bytes, int]]:
        return [(m.value, m.timestamp) for m in read_topic(kafka_of(shelf), shelf.backfill_topic)]

    assert "1 would be sent" in said("replay", "--stage", "parse", "--dry-run")
    assert run("replay", "--stage", "parse", stdin="n\n").exit_code == 1
    assert sent() == []
    assert "1 of 1 records were sent back" in said("replay", "--stage", "parse", "--yes")
    assert sent() == [(b"\xff\x00\x1b", SENT + 1)]
    assert "not UTF-8" not in said("list")
    assert "not UTF-8" in said("list", "--replayed", "any")
    assert "sent back: no" not in said("show", "0:1")
    assert "There is nothing to send" in said("replay", "--stage", "parse", "--yes")


def test_a_purge_says_what_it_cannot_do(shelf: Settings):
    assert run("purge").exit_code == 1
    assert run("purge", "--all", "--stage", "parse").exit_code == 1
    text = said("purge", "--stage", "parse", "--yes")
    assert "1 more are meant and stay" in text
    assert "nothing that can be removed" in text
    assert "2 would be removed" in said("purge", "--until", "1h", "--dry-run")
    assert run("purge", "--all", stdin="n\n").exit_code == 1
    assert "2 records were removed" in said("purge", "--all", "--yes")
    assert "Nothing." in said("list", "--replayed", "any")


@pytest.mark.parametrize("given", ["yesterday", "2h3", "", "2026-13-01"])
def test_a_time_that_is_none_is_named(shelf: Settings, given: str):
    result = run("list", "--since", given)
    assert result.exit_code == 2
    assert "is no time" in result.output


def test_times_and_spans():
    assert span_ms("2h") == 7_200_000
    assert span_ms("1.5 d") == 129_600_000
    assert span_ms("h") is None
    assert moment_ms("30m", now_ms=10_000_000) == 8_200_000
    assert moment_ms("1970-01-01T00:01", now_ms=0) == 60_000
    assert moment_ms("1970-01-01T01:00+01:00", now_ms=0) == 0
