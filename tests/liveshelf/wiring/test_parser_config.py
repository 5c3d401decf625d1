"""The mapping as the settings name it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from liveshelf.cli import main
from liveshelf.settings import environment, load_settings
from liveshelf.wiring.kafka import kafka_of
from streams.kafka_client import read_topic
from tests.integration.streaming import new_place

ROW = {"sku": 17, "name": "Linen napkin"}


@pytest.fixture(autouse=True)
def mapping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "mapping.toml"
    file.write_text('id = "sku"\ntitle = "name"\n')
    monkeypatch.setenv("LIVESHELF_MAPPING_FILE", str(file))
    monkeypatch.setenv("LIVESHELF_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9")
    return file


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, list(arguments), input=stdin)


def test_rows_can_be_produced_as_they_are(broker: str, mapping: Path, monkeypatch: pytest.MonkeyPatch):
    topics = new_place(broker).topics
    names = {"live_topic": topics.live, "backfill_topic": topics.backfill, "quarantine_topic": topics.quarantine}
    settings = load_settings(kafka_bootstrap_servers=broker, topic_partitions=3, mapping_file=mapping, **names)
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    result = run("produce", stdin=f'{json.dumps(ROW)}\n{{"sku": 18}}\n')
    assert result.exit_code == 1
    assert "line 2: title: a put needs" in result.output
    assert "(mapping.title reads it from name)" in result.output
    (message,) = read_topic(kafka_of(settings), topics.live)
    assert (message.key, json.loads(message.value)) == (b'["default","17"]', ROW)


def test_a_catalogue_in_the_contract_is_no_business_of_the_mapping(tmp_path: Path):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"id": "1", "title": "mug", "offer": {"price": 3}}\n{"id": "2", "title": "napkin"}\n')
    result = run("backfill", str(file), "--dry-run")
    assert result.exit_code == 0, result.output
    assert "2 of 2 rows are events" in result.output


@pytest.mark.parametrize(("text", "sentence"), [("id = 5", "mapping.id: 5 is not"), (None, "LIVESHELF_MAPPING_FILE")])
def test_a_mapping_that_is_wrong_is_one_sentence(mapping: Path, text: str | None, sentence: str):
    if text is None:
        mapping.unlink()
    else:
        mapping.write_text(text)
    for command in (["produce"], ["check"]):
        result = run(*command, stdin="{}")
        assert result.exit_code == 1
        assert sentence in result.output
