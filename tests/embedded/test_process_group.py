"""A group starts in stages, stops in reverse, and leaves no process behind, whichever process dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from embedded.child_process import Command
from embedded.errors import EmbeddedError
from embedded.process_group import GroupMember, ProcessGroup, program

READY = 'open(f"{folder}/{name}.ready", "w").write(str(os.getpid()))'
BODY = f"""
import os, signal, sys, time
name, folder = sys.argv[1:3]
journal = os.open(folder + "/journal", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def end(*_):
    os.write(journal, f"-{{name}}\\n".encode())
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
os.write(journal, f"+{{name}}\\n".encode())
{READY}
time.sleep(60)
"""
# A shell that starts the tests in the background has its children ignore Ctrl-C: what is tested is one that does not.
PARENT = """
import signal
import sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)
from embedded.process_group import ProcessGroup
from tests.embedded.test_process_group import part
folder = Path(sys.argv[1])
with ProcessGroup([[part(folder, "one")], [part(folder, "two")]]) as group:
    (folder / "up").touch()
    group.wait()
"""


def part(folder: Path, name: str, body: str = BODY) -> GroupMember:
    argv = [sys.executable, "-I", "-S", "-c", body, name, str(folder)]
    command = Command(argv, env={}, log=folder / f"{name}.log", grace=5.0)
    return program(name, command, ready=(folder / f"{name}.ready").exists, timeout=20.0)


def journal(folder: Path) -> list[str]:
    return (folder / "journal").read_text().split()


def pid(folder: Path, name: str) -> int:
    return int((folder / f"{name}.ready").read_text())


def gone(number: int) -> bool:
    return not psutil.pid_exists(number) or psutil.Process(number).status() == psutil.STATUS_ZOMBIE


def eventually(holds: Callable[[], bool], seconds: float = 15.0) -> bool:
    end = time.monotonic() + seconds
    while not (value := holds()) and time.monotonic() < end:
        time.sleep(0.02)
    return value


def test_starts_stage_by_stage_and_stops_in_reverse(tmp_path: Path) -> None:
    with ProcessGroup([[part(tmp_path, "one")], [part(tmp_path, "two")], [part(tmp_path, "three")]]) as group:
        group.check()
    assert journal(tmp_path) == ["+one", "+two", "+three", "-three", "-two", "-one"]
    assert all(gone(pid(tmp_path, name)) for name in ("one", "two", "three"))


def test_members_of_one_stage_start_at_the_same_time(tmp_path: Path) -> None:
    waiting = BODY.replace(READY, f"while not os.path.exists(folder + '/right.ready'): time.sleep(0.01)\n{READY}")
    with ProcessGroup([[part(tmp_path, "left", waiting), part(tmp_path, "right")]]):
        assert set(journal(tmp_path)) == {"+left", "+right"}


def test_a_death_while_running_is_named_with_its_log_and_the_rest_can_be_stopped(tmp_path: Path) -> None:
    with ProcessGroup([[part(tmp_path, "one")], [part(tmp_path, "two")]]) as group:
        os.kill(pid(tmp_path, "two"), signal.SIGKILL)
        with pytest.raises(EmbeddedError, match=r"(?s)The two was ended by SIGKILL.*two\.log"):
            group.wait(20)
    assert journal(tmp_path)[-1] == "-one"


def test_a_member_that_never_gets_ready_stops_what_had_started(tmp_path: Path) -> None:
    dies = "print('no such model'); raise SystemExit(3)"
    with pytest.raises(EmbeddedError, match=r"(?s)The two ended with exit status 3.*no such model"):
        ProcessGroup([[part(tmp_path, "one")], [part(tmp_path, "two", dies)]]).start()
    assert journal(tmp_path) == ["+one", "-one"]


def test_a_failure_cancels_a_slow_member_of_the_same_stage(tmp_path: Path) -> None:
    slow = BODY.replace(READY, "time.sleep(60)")
    start = time.monotonic()
    with pytest.raises(EmbeddedError, match="exit status 3"):
        ProcessGroup([[part(tmp_path, "slow", slow), part(tmp_path, "bad", "raise SystemExit(3)")]]).start()
    assert time.monotonic() - start < 15


def test_a_program_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    command = Command(["/no/such/program"], env={}, log=tmp_path / "log")
    with pytest.raises(EmbeddedError, match="/no/such/program cannot be started"):
        ProcessGroup([[program("ghost", command, ready=lambda: True)]]).start()


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, -2), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -9)]
)
def test_nothing_outlives_the_parent(tmp_path: Path, number: int, status: int) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stderr=subprocess.DEVNULL)
    try:
        assert eventually((tmp_path / "up").exists, 30)
        members = [pid(tmp_path, "one"), pid(tmp_path, "two")]
        parent.send_signal(number)
        assert parent.wait(20) == status
        assert eventually(lambda: all(gone(member) for member in members))
    finally:
        parent.kill()
        parent.wait()
    assert set(journal(tmp_path)[2:]) == {"-one", "-two"}
    if number != signal.SIGKILL:
        assert journal(tmp_path) == ["+one", "+two", "-two", "-one"]
