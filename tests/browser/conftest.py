"""Fixtures: a real Chromium, and a service that serves the page."""

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
PATIENCE_MS = 30_000  # for machines under other load
HELP = f"install chromium (or let `python -m playwright install chromium` fetch one), or set {BROWSER} to its path"


def missing(why: str) -> None:
    """No browser: fails the test if LIVESHELF_TEST_BROWSER is set, else skips it."""
    if os.environ.get(BROWSER):
        pytest.fail(f"{BROWSER} is set, and {why}")
    pytest.skip(f"{why}: {HELP}")


def executable(own: str) -> str:
    """The path of a browser; `own` is the path of playwright's own browser."""
    given = os.environ.get(BROWSER)
    if given and not Path(given).exists():
        pytest.fail(f"{BROWSER} is {given}, which does not exist")
    path = given or next(filter(None, map(shutil.which, NAMES)), None) or (own if Path(own).exists() else None)
    if not path:
        missing("no browser is installed")
    return str(path)


# Package scope: its thread has a running event loop, so no asynchronous test could start another one.
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
    """A page in its own browser context. An error of its script or its content security policy fails the test."""
    context = chromium.new_context(viewport={"width": 1280, "height": 860}, reduced_motion="reduce", locale="en-GB")
    context.set_default_timeout(PATIENCE_MS)
    browser_page = context.new_page()
    errors: list[str] = []
    browser_page.on("pageerror", lambda error: errors.append(str(error)))
    browser_page.on("console", lambda message: errors.append(message.text) if _is_error(message) else None)
    yield browser_page
    context.close()
    assert not errors


def _is_error(message: Any) -> bool:
    # The browser always reports a failed request; the tests check the page's reaction to it.
    return message.type == "error" and not message.text.startswith("Failed to load resource")


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """Serves the app in a thread. Yields its address."""
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
    """A function that opens the page of an app."""
    with ExitStack() as stack:

        def open_page(app: ASGIApp) -> Any:
            page.goto(stack.enter_context(served(app)))
            return page

        yield open_page
        page.goto("about:blank")  # closes the event stream, which the server's shutdown would wait for
