"""First mistakes of a new user: each ends in one sentence that says what to do next, and never in a traceback."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner

from embedded.data_folder import DataFolder, Ownership
from embedded.engine.process import EngineProcess
from liveshelf import sample
from liveshelf.cli import main
from liveshelf.settings import environment
from streams.worker.log_throttle import START_UP_S, LogThrottle
from tests.integration.shop import Shop, open_shop, wait_for

CLOSED = "127.0.0.1:9"


@dataclass(frozen=True)
class Mistake:
    """A command as typed, the settings that are wrong, and what its error must contain."""

    command: str
    says: tuple[str, ...]
    settings: dict[str, str] = field(default_factory=dict)
    stdin: str | None = None


FILES = {
    "shop.csv": "id,title\n1,mug\n",
    "noid.jsonl": '{"colour": "red", "size": "M"}\n',
    "mapping.toml": "id = sku\n",
    "notes.txt": "x",
}
FOLDER = "LIVESHELF_DATA_DIR to a folder that you can write to"
MISTAKES = {
    "up, folder cannot be made": Mistake("up", ("/proc/x", FOLDER), {"DATA_DIR": "/proc/x"}),
    "up, a file as folder": Mistake("up", ("shop.csv", FOLDER), {"DATA_DIR": "{folder}/shop.csv"}),
    "broker, folder cannot be made": Mistake("dev broker --port 0", ("/proc/x", FOLDER), {"DATA_DIR": "/proc/x"}),
    "broker, a file as folder": Mistake("dev broker --port 0", ("shop.csv", FOLDER), {"DATA_DIR": "{folder}/shop.csv"}),
    "engine, folder cannot be made": Mistake("dev engine --port 0", ("/proc/x", FOLDER), {"DATA_DIR": "/proc/x"}),
    "engine, a file as folder": Mistake("dev engine --port 0", ("shop.csv", FOLDER), {"DATA_DIR": "{folder}/shop.csv"}),
    "sample folder cannot be made": Mistake("demo --once", ("/proc/x",), {"DATA_DIR": "/proc/x"}),
    "serve, ready file in no folder": Mistake(
        "serve", ("LIVESHELF_READY_FILE=/nosuch/ready", "there is no folder /nosuch"), {"READY_FILE": "/nosuch/ready"}
    ),
    "worker, ready file in no folder": Mistake(
        "worker", ("LIVESHELF_READY_FILE=/nosuch/ready", "there is no folder /nosuch"), {"READY_FILE": "/nosuch/ready"}
    ),
    "ready file is a folder": Mistake("serve", ("it is a folder",), {"READY_FILE": "{folder}"}),
    "backfill of a text": Mistake("backfill {folder}/notes.txt", (".csv", ".parquet")),
    "backfill without an id": Mistake("backfill {folder}/noid.jsonl --dry-run", ("--map id=COLUMN",)),
    "port is no number": Mistake("schema", ("LIVESHELF_SEARCH_PORT=abc", "valid integer"), {"SEARCH_PORT": "abc"}),
    "address without scheme": Mistake(
        "schema", ("LIVESHELF_QDRANT_URL=x:6334: the value should begin with http://",), {"QDRANT_URL": "x:6334"}
    ),
    "check, Qdrant is down": Mistake(
        "check",
        (
            f"WRONG  index: Qdrant at http://{CLOSED} does not answer",
            "liveshelf up",
            "liveshelf dev engine",
            "LIVESHELF_QDRANT_URL",
        ),
    ),
    "check, the broker is down": Mistake(
        "check",
        (
            f"WRONG  broker: the broker at {CLOSED} does not answer",
            "liveshelf up",
            "liveshelf dev broker",
            "LIVESHELF_KAFKA_BOOTSTRAP_SERVERS",
        ),
    ),
    "worker, unknown model and no broker": Mistake("worker", ("There is no model 'clip'",), {"MODEL": "clip"}),
    "mapping is not TOML": Mistake(
        "produce",
        ("LIVESHELF_MAPPING_FILE={folder}/mapping.toml", "not TOML", 'id = "sku"'),
        {"MAPPING_FILE": "{folder}/mapping.toml"},
        stdin="{{}}\n",
    ),
    "serve, port taken": Mistake("serve --port {taken}", ("port {taken} cannot be listened on", "choose another")),
    "serve to everybody": Mistake("serve --host 0.0.0.0", ("liveshelf keys add", "--insecure")),
    "misspelt command": Mistake("serach", ("Did you mean search?",)),  # codespell:ignore serach
    "misspelt command, backfil": Mistake("backfil", ("Did you mean backfill?",)),
}


@pytest.fixture(autouse=True)
def nothing_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {
        "KAFKA_BOOTSTRAP_SERVERS": CLOSED,
        "QDRANT_URL": f"http://{CLOSED}",
        "QDRANT_TIMEOUT_SECONDS": "2",
        "SEARCH_PORT": "9",
        "DATA_DIR": str(tmp_path / "data"),
    }.items():
        monkeypatch.setenv(f"LIVESHELF_{name}", value)
    for file, text in FILES.items():
        (tmp_path / file).write_text(text)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another process has."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def fails(command: str, stdin: str | None = None) -> str:
    """What the command prints, which must be an error without a traceback."""
    result = CliRunner().invoke(main, command.split(), input=stdin)
    assert result.exit_code in (1, 2), result.output
    assert isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result.output


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_ends_in_a_sentence(name: str, taken: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mistake, words = MISTAKES[name], {"folder": tmp_path, "taken": taken}
    for setting, value in mistake.settings.items():
        monkeypatch.setenv(f"LIVESHELF_{setting}", value.format(**words))
    output = fails(mistake.command.format(**words), mistake.stdin)
    for part in mistake.says:
        assert part.format(**words) in output


def test_a_csv_file_is_a_catalogue(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["backfill", str(tmp_path / "shop.csv"), "--dry-run"])
    assert result.exit_code == 0, result.output
    assert "1 of 1 rows are events" in result.output


def test_a_log_level_may_be_in_lower_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVESHELF_LOG_LEVEL", "debug")
    assert CliRunner().invoke(main, ["schema"]).exit_code == 0


def test_check_gives_one_verdict_for_each_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVESHELF_IMAGE_FILE_ROOTS", "/nosuch,/nowhere")
    monkeypatch.setenv("LIVESHELF_READY_FILE", "/nosuch/ready")
    verdicts = [line for line in fails("check").splitlines() if line.startswith(("ok ", "WRONG"))]
    assert [line.split()[1] for line in verdicts] == ["settings:", "broker:", "model:", "index:"]
    assert all(part in verdicts[0] for part in ("names /nosuch,", "names /nowhere,", "READY_FILE"))
    assert verdicts[0].startswith("WRONG")


def test_a_hub_that_does_not_answer_is_a_sentence_with_the_way_without_it(tmp_path: Path) -> None:
    shell = os.environ | {
        "HF_ENDPOINT": f"http://{CLOSED}",
        "HF_HOME": str(tmp_path / "hub"),
        "LIVESHELF_MODEL": "hf:some/clip@main",
    }
    shell.pop("HF_HUB_OFFLINE", None)
    command = [sys.executable, "-m", "liveshelf", "check"]
    done = subprocess.run(command, env=shell, capture_output=True, text=True, timeout=120)
    output = done.stdout + done.stderr
    assert done.returncode == 1
    assert "Traceback" not in output
    assert "hub does not answer" in output
    assert "hf:/path/to/folder@local" in output
    assert "HF_HUB_OFFLINE=1" in output


@pytest.mark.parametrize(
    ("member", "setting"),
    [("broker", "KAFKA_BOOTSTRAP_SERVERS"), ("engine", "QDRANT_URL"), ("search service", "SEARCH_PORT")],
)
def test_up_names_the_setting_of_a_port_in_use_before_it_starts_anything(
    member: str, setting: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        ports = {"KAFKA_BOOTSTRAP_SERVERS": free_port(), "QDRANT_URL": free_port(), "SEARCH_PORT": free_port()}
        for name, value in (ports | {setting: port}).items():
            address = {"SEARCH_PORT": "{}", "QDRANT_URL": "http://127.0.0.1:{}"}.get(name, "127.0.0.1:{}")
            monkeypatch.setenv(f"LIVESHELF_{name}", address.format(value))
        output = fails("up")
    assert f"127.0.0.1:{port}, the port of the {member}, is in use" in output
    assert f"set LIVESHELF_{setting}=" in output
    assert not list((tmp_path / "data" / "logs").iterdir())


def test_up_in_a_folder_in_use_names_its_owner_and_not_the_port(tmp_path: Path) -> None:
    with Ownership(DataFolder(tmp_path / "data").broker, "a broker"):
        assert f"in use by a broker (process {os.getpid()})" in fails("up")


def test_ctrl_c_of_up_says_what_is_kept(tmp_path: Path) -> None:
    shell = os.environ | {
        "LIVESHELF_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}",
        "LIVESHELF_QDRANT_URL": f"http://127.0.0.1:{free_port()}",
        "LIVESHELF_SEARCH_PORT": str(free_port()),
    }
    log = tmp_path / "up.log"
    with log.open("wb") as stderr:
        up = subprocess.Popen([sys.executable, "-m", "liveshelf", "up"], env=shell, stderr=stderr)
    try:
        wait_for(lambda: b"Search at" in log.read_bytes() or up.poll() is not None, 120)
        up.send_signal(signal.SIGINT)
        assert up.wait(60) == 0, log.read_text()
    finally:
        up.kill()
        up.wait()
    assert f"Stopped. The data is kept in {tmp_path / 'data'}." in log.read_text()
    worker_log = (tmp_path / "data" / "logs" / "worker.log").read_text()
    assert " ERROR " not in worker_log, worker_log


def test_ctrl_c_of_the_demo_says_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("liveshelf.sample.is_drawn", lambda folder: True)
    monkeypatch.setattr("liveshelf.commands.run.demo._run", interrupted)
    assert "Stopped. Nothing is left of the demo" in CliRunner().invoke(main, ["demo"]).output


def test_a_search_service_that_ends_is_named_as_such() -> None:
    from liveshelf.settings import load_settings
    from liveshelf.wiring.local import LocalShelf

    names = [member.name for stage in LocalShelf(load_settings()).group._stages for member in stage]
    assert names == ["broker", "engine", "worker", "search service"]


def test_a_missing_group_coordinator_is_an_error_only_if_it_lasts() -> None:
    now = 0.0
    throttle = LogThrottle(60, clock=lambda: now)

    def passes() -> bool:
        text = "Group Coordinator Request failed: %s"
        return throttle.filter(logging.LogRecord("aiokafka", logging.ERROR, "p", 1, text, ("[Error 15]",), None))

    assert not passes()
    now = START_UP_S - 1
    assert not passes()
    now = START_UP_S + 1
    assert passes()


@pytest.fixture
def shop(broker: str, engine: EngineProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with open_shop(broker, engine, tmp_path) as opened:
        for name, value in environment(opened.settings).items():
            monkeypatch.setenv(name, value)
        yield opened


GOOD, BAD = '{"id": "1", "title": "mug"}\n', '{"id": "2", "title": 5}\n'


def test_produce_with_a_bad_first_line_says_that_nothing_was_sent(shop: Shop) -> None:
    output = fails("produce", BAD + GOOD)
    assert "line 1: title: 5" in output
    assert "nothing was sent" in output
    assert "--from-line 1" in output
    assert "--skip-bad" in output


def test_produce_skips_bad_lines_or_starts_at_a_line_if_asked(shop: Shop) -> None:
    result = CliRunner().invoke(main, ["produce", "--skip-bad"], input=GOOD + BAD + GOOD)
    assert result.exit_code == 0, result.output
    assert "line 2: title: 5" in result.output
    assert "2 events sent" in result.output
    assert "1 line left out" in result.output
    result = CliRunner().invoke(main, ["produce", "--from-line", "2", "--json"], input=BAD + GOOD)
    assert '"sent": 1' in result.output


def test_ctrl_c_while_a_backfill_waits_says_that_it_goes_on(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_text(GOOD)
    log = tmp_path / "backfill.log"
    with log.open("wb") as stderr:  # no worker runs, so it waits
        command = [sys.executable, "-m", "liveshelf", "backfill", str(tmp_path / "one.jsonl")]
        waiting = subprocess.Popen(command, env=os.environ, stderr=stderr)
    try:
        wait_for(lambda: shop_has_event(shop), 60)
        time.sleep(1)
        waiting.send_signal(signal.SIGINT)
        assert waiting.wait(30) == 130
    finally:
        waiting.kill()
        waiting.wait()
    assert "1 event sent, and the workers continue to apply" in log.read_text()


def shop_has_event(shop: Shop) -> bool:
    from liveshelf.wiring.kafka import kafka_of
    from streams.kafka_client import read_topic

    return bool(list(read_topic(kafka_of(shop.settings), shop.settings.backfill_topic)))


def test_ctrl_c_while_the_sample_is_drawn_keeps_what_is_drawn(tmp_path: Path) -> None:
    folder = tmp_path / "sample"
    code = f"from liveshelf import sample; from pathlib import Path; sample.draw(Path({str(folder)!r}), count=200)"
    drawing = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, start_new_session=True, text=True)
    wait_for(lambda: len(list((folder / "images").glob("sku*.jpg"))) >= 30, 60)
    os.killpg(drawing.pid, signal.SIGINT)  # as a terminal does
    _, errors = drawing.communicate(timeout=60)
    assert "SpawnProcess" not in errors
    kept = {path: path.stat().st_mtime_ns for path in (folder / "images").glob("sku*.jpg")}
    assert 30 <= len(kept) < 200
    progress: list[int] = []
    sample.draw(folder, count=200, progress=lambda drawn, total: progress.append(drawn))
    assert progress[0] == len(kept)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    whole = tmp_path / "whole"
    sample.draw(whole, count=200)
    assert files(folder) == files(whole)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
