"""A real Chromium for the page, and a service to open it on."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.types import ASGIApp

from tests.integration.shop import wait_for

BROWSER = "LIVESHELF_TEST_BROWSER"
NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_MS = 30_000  # for machines that do much else
HELP = f"install chromium (or let `python -m playwright install chromium` fetch one), or set {BROWSER} to its path"


def missing(why: str) -> None:
    """No browser: skipped where none is promised, failed where one is."""
    if os.environ.get(BROWSER):
        pytest.fail(f"{BROWSER} is set, and {why}")
    pytest.skip(f"{why}: {HELP}")


def executable(own: str) -> str:
    """The path of a browser; `own` is where playwright keeps what it fetches."""
    given = os.environ.get(BROWSER)
    if given and not Path(given).exists():
        pytest.fail(f"{BROWSER} is {given}, which is not there")
    found = given or next(filter(None, map(shutil.which, NAMES)), None) or (own if Path(own).exists() else None)
    if not found:
        missing("there is no browser")
    return str(found)


# For this package alone: while it runs, its thread has a running loop, and no asynchronous test could start another.
@pytest.fixture(scope="package")
def chromium() -> Iterator[Any]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is not installed")
    with sync_playwright() as playwright:
        path = executable(playwright.chromium.executable_path)
        flags = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """A page in a context of its own. An error of its script, or of its policy, fails the test."""
    context = chromium.new_context(viewport={"width": 1280, "height": 860}, reduced_motion="reduce", locale="en-GB")
    context.set_default_timeout(PATIENCE_MS)
    opened = context.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda said: wrong.append(said.text) if _is_wrong(said) else None)
    yield opened
    context.close()
    assert not wrong


def _is_wrong(said: Any) -> bool:
    # That a request was refused the browser always says; what the page makes of it is what is tested.
    return said.type == "error" and not said.text.startswith("Failed to load resource")


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """The address of the app, served in a thread."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=5))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            wait_for(lambda: server.started, 30)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


@pytest.fixture
def opened(page: Any) -> Iterator[Callable[[ASGIApp], Any]]:
    """Opens the page of an app."""
    with ExitStack() as stack:

        def open_page(app: ASGIApp) -> Any:
            page.goto(stack.enter_context(served(app)))
            return page

        yield open_page
        page.goto("about:blank")  # it listens, and a server that stops waits for those who do
