"""The shell blocks of the pages are run as a reader types them; what needs more than a computer is marked so."""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from embedded.broker.probe import free_port
from tests.docs.pages import NEEDS, PAGES, RUNS, Block, blocks, name_of
from tests.integration.shop import wait_for

# Pages whose Python blocks tests/docs/test_client_page.py runs.
PYTHON_PAGES = {"client/README.md", "docs/client.md", "docs/qdrant.md"}


def runnable(page: Path) -> list[Block]:
    """The shell blocks that are run, and the text blocks that show what one prints, in order."""
    return [block for block in blocks(page) if block.language in {"sh", "text"} and block.needs is None]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_mark_is_one_that_is_known(page: Path) -> None:
    for block in blocks(page):
        assert block.needs is None or block.needs in NEEDS
        assert block.runs is None or block.runs in RUNS
    marks = re.findall(r"^ *<!-- (?:needs|runs)", page.read_text("utf-8"), re.MULTILINE)
    assert len(marks) == sum(block.needs is not None or block.runs is not None for block in blocks(page))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_python_block_is_run_or_marked(page: Path) -> None:
    for block in blocks(page):
        if block.language == "python":
            ast.parse(block.text)
            assert block.needs or name_of(page) in PYTHON_PAGES


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(block.language == "sh" for block in runnable(page))], ids=name_of
)
def test_the_shell_blocks_of_a_page_work(page: Path, tmp_path: Path) -> None:
    environment = shell(search_port := free_port())
    printed = ""
    with ExitStack() as background:
        for block in runnable(page):
            if block.language == "text":
                assert block.text.strip() in printed
            elif block.runs:
                background.enter_context(running(block.text, environment, tmp_path, search_port))
            else:
                command = ["bash", "-euo", "pipefail", "-c", block.text]
                done = subprocess.run(
                    command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120
                )
                printed = done.stdout + done.stderr
                assert done.returncode == 0, block.text + printed


def shell(search_port: int) -> dict[str, str]:
    """A reader's environment with `.venv` activated, and ports that no other test has."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LIVESHELF_")}
    return environment | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "LIVESHELF_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}",
        "LIVESHELF_QDRANT_URL": f"http://127.0.0.1:{free_port()}",
        "LIVESHELF_SEARCH_PORT": str(search_port),
        "COLUMNS": "200",
    }


@contextmanager
def running(script: str, environment: dict[str, str], folder: Path, search_port: int) -> Iterator[None]:
    """A block in a terminal of its own, ready when the search service answers; ended with it."""
    log = folder / "background.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["bash", "-c", script],
            env=environment,
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for(lambda: process.poll() is not None or answers(search_port), 150)
        assert process.poll() is None, log.read_text()
        yield
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
