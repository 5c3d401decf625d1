"""The commands as a person types them; what is wrong is said in one sentence."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import psutil
import pytest
from click.testing import CliRunner, Result

from catalog.events import parser as events
from embedded.engine.process import EngineProcess
from liveshelf import sample
from liveshelf.cli import main
from liveshelf.reference_pages import each_command
from liveshelf.settings import environment, load_settings
from tests.integration.shop import Shop, open_shop, wait_for

NOWHERE = "127.0.0.1:9"


@pytest.fixture(autouse=True)
def nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVESHELF_KAFKA_BOOTSTRAP_SERVERS", NOWHERE)
    monkeypatch.setenv("LIVESHELF_QDRANT_URL", f"http://{NOWHERE}")
    monkeypatch.setenv("LIVESHELF_QDRANT_TIMEOUT_SECONDS", "2")
    monkeypatch.setenv("LIVESHELF_SEARCH_PORT", "9")


@pytest.fixture
def shop(broker: str, engine: EngineProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with open_shop(broker, engine, tmp_path) as opened:
        for name, value in environment(opened.settings).items():
            monkeypatch.setenv(name, value)
        yield opened


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, list(arguments), input=stdin)


def sentence(result: Result) -> str:
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    return result.output


def test_schema_prints_the_schema():
    assert json.loads(run("schema").output) == events.schema()


def test_a_bad_setting_is_one_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIVESHELF_TOPIC_PARTITIONS", "none")
    assert "LIVESHELF_TOPIC_PARTITIONS" in sentence(run("schema"))


def test_search_without_a_service_says_how_to_start_one():
    assert "liveshelf up" in sentence(run("search", "mug"))


def test_an_empty_search_says_what_to_give():
    assert "give some text" in sentence(run("search"))


@pytest.mark.parametrize("given", ["brand", '{"brand"'])
def test_a_filter_that_is_none_is_named(given: str):
    assert given in sentence(run("search", "mug", "--filter", given))


def test_check_says_what_does_not_answer():
    said = sentence(run("check"))
    assert NOWHERE in said
    assert "ok     model" in said


def test_check_finds_a_misspelt_variable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIVESHELF_KAFKAA", "x")
    assert "LIVESHELF_KAFKAA is not a setting" in sentence(run("check"))


def test_check_is_content_where_all_is_well(shop: Shop):
    result = run("check")
    assert result.exit_code == 0, result.output
    assert "WRONG" not in result.output


def test_backfill_of_what_is_no_catalogue(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("x")
    assert "neither .parquet" in sentence(run("backfill", str(tmp_path / "notes.txt")))


def test_backfill_without_a_broker_names_its_address(tmp_path: Path):
    (tmp_path / "a.jsonl").write_text('{"id": "1", "title": "mug"}\n')
    assert NOWHERE in sentence(run("backfill", str(tmp_path / "a.jsonl")))


def test_a_dry_run_counts_and_names_the_bad_rows(tmp_path: Path):
    rows = ['{"id": "1", "title": "mug"}', "{", '{"id": "2"}', '{"op": "put", "id": "3", "title": 5, "images": []}']
    (tmp_path / "a.jsonl").write_text("\n".join(rows))
    said = sentence(run("backfill", str(tmp_path / "a.jsonl"), "--dry-run"))
    assert "1 of 4 rows are events" in said
    assert "3 of 4 rows are no events" in said
    assert "row 2: not JSON" in said


def test_files_that_no_worker_may_read_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rows = [
        {"id": str(i), "title": "mug", "images": [f"photos/{i} a.jpg"] if i else ["https://x.example/1.jpg"]}
        for i in range(3)
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = run("backfill", str(tmp_path / "a.jsonl"), "--dry-run")
    assert told.exit_code == 0, told.output
    assert "2 products name files as photos that LIVESHELF_IMAGE_FILE_ROOTS does not allow" in told.output
    assert f"Set it to {tmp_path / 'photos'} or a folder above" in told.output
    monkeypatch.setenv("LIVESHELF_IMAGE_FILE_ROOTS", str(tmp_path))
    assert "FILE_ROOTS" not in run("backfill", str(tmp_path / "a.jsonl"), "--dry-run").output


def test_a_dry_run_shows_the_columns_and_an_example(tmp_path: Path):
    (tmp_path / "a.csv").write_text("sku,name,image_link,price,cost,brand\n1,mug,https://x/1.jpg,43.67 EUR,9,Arbour\n")
    output = run("backfill", str(tmp_path / "a.csv"), "--dry-run").output
    assert "a.csv: id=sku title=name images=image_link price=price; attributes: cost, brand" in output
    assert '"offer": {"price": 43.67, "currency": "EUR"}' in output
    output = run("backfill", str(tmp_path / "a.csv"), "--dry-run", "--map", "price=cost").output
    assert "a.csv: id=sku title=name images=image_link price=cost; attributes: price, brand" in output
    assert '"offer": {"price": 9.0}' in output


@pytest.mark.parametrize("mapping", [["size=x"], ["id"], ["id="]])
def test_a_mapping_that_is_none_is_refused(tmp_path: Path, mapping: list[str]):
    (tmp_path / "a.jsonl").write_text('{"sku": "1", "name": "mug"}\n')
    options = [part for one in mapping for part in ("--map", one)]
    assert "--map" in sentence(run("backfill", str(tmp_path / "a.jsonl"), "--dry-run", *options))


def test_produce_stops_at_the_first_bad_line_and_says_so(shop: Shop):
    said = sentence(run("produce", stdin='{"id": "1", "title": "mug"}\n\n{"id": "2", "title": 5}\n'))
    assert "line 3: title: 5" in said
    assert "1 event before it was sent" in said


def test_worker_without_a_broker_ends_with_a_sentence():
    assert NOWHERE in sentence(run("worker"))


def test_serve_refuses_an_open_address_and_says_why(shop: Shop):
    assert "0.0.0.0" in sentence(run("serve", "--host", "0.0.0.0", "--port", "0"))  # noqa: S104 - it must not


def test_up_refuses_another_machines_broker(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIVESHELF_KAFKA_BOOTSTRAP_SERVERS", "kafka.example:9092")
    assert "kafka.example:9092 is not this machine" in sentence(run("up"))


def test_up_runs_everything_and_leaves_nothing(tmp_path: Path):
    """Also the other commands as a user has them: backfill with its bar, search with its table."""
    products = sample.draw(tmp_path / "sample", count=40)
    settings = load_settings(
        kafka_bootstrap_servers=f"127.0.0.1:{free_port()}",
        qdrant_url=f"http://127.0.0.1:{free_port()}",
        search_port=free_port(),
        data_dir=tmp_path / "data",
        image_file_roots=(products.parent,),
    )
    shell = environment(settings)

    def liveshelf(*arguments: str) -> str:
        command = [sys.executable, "-m", "liveshelf", *arguments]
        done = subprocess.run(command, env=shell, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    with (tmp_path / "up.log").open("wb") as log:
        up = subprocess.Popen([sys.executable, "-m", "liveshelf", "up"], env=shell, stderr=log)
    try:
        wait_for(lambda: b"Search at" in (tmp_path / "up.log").read_bytes() or up.poll() is not None, 120)
        children = psutil.Process(up.pid).children(recursive=True)
        assert "40 events applied" in liveshelf("backfill", str(products))
        found = json.loads(liveshelf("search", "teapot", "--limit", "3", "--json"))
        assert len(found["hits"]) == 3
        photo = next((products.parent / "images").iterdir())
        assert photo.stem in liveshelf("search", "--image", str(photo), "--limit", "3")
        up.send_signal(signal.SIGTERM)
        assert up.wait(60) in (0, 128 + signal.SIGTERM)
    finally:
        up.kill()
        up.wait()
    assert len(children) >= 4
    wait_for(lambda: not any(c.is_running() and c.status() != psutil.STATUS_ZOMBIE for c in children), 20)


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_nothing_of_the_outside_reaches_these_tests():
    assert os.environ["LIVESHELF_KAFKA_BOOTSTRAP_SERVERS"] == NOWHERE


def commands() -> list[tuple[str, click.Command]]:
    context = click.Context(main, info_name="liveshelf")
    return [(inner.command_path, command) for command, inner in each_command(main, context)]


@pytest.mark.parametrize(("path", "command"), commands())
def test_the_help_of_a_command_has_a_short_first_line_and_an_example(path: str, command: click.Command):
    text = command.help or ""
    first = text.strip().split("\n\n")[0]
    assert len(first) <= 60
    assert "\n" not in first
    assert command.get_short_help_str(60).rstrip(".") == first.rstrip(".")
    example = text.partition("Example:\n")[2].split()
    assert example[: len(path.split())] == path.split()
    assert all(getattr(parameter, "help", "") for parameter in command.params if isinstance(parameter, click.Option))


def test_no_summary_is_cut_at_80_columns():
    for path, command in commands():
        if isinstance(command, click.Group):
            output = CliRunner().invoke(main, [*path.split()[1:], "--help"], terminal_width=80).output
            assert not [line for line in output.splitlines()[1:] if line.endswith("...")], output
