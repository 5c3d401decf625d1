"""Runs the health checks of docker-compose.yml against servers that answer 200, 503 and not at all."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from embedded.broker.probe import free_port
from tests.deploy.files import service


class FixedResponse(BaseHTTPRequestHandler):
    def __init__(self, path: str, status: int, *args: object) -> None:
        self.response = (path, status)
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        path, status = self.response
        self.send_response(status if self.path == path else 404)
        self.end_headers()
        self.wfile.write(b'{"asked": 200 }')

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(path: str, status: int) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(FixedResponse, path, status))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def check(name: str, port: str) -> Callable[[int], int]:
    """A function that runs the service's health check on another port and returns its exit status."""
    word, program, *rest = service(name)["healthcheck"]["test"]
    assert word == "CMD"
    assert any(port in part for part in rest)

    def run(other: int) -> int:
        command = [sys.executable if program == "python" else program]
        command += [part.replace(port, str(other)) for part in rest]
        return subprocess.run(command, capture_output=True, timeout=30).returncode

    return run


CHECKS = [("qdrant", "6333", "/readyz"), ("search", "8000", "/readyz")]


@pytest.mark.parametrize(("name", "port", "path"), CHECKS)
def test_a_service_that_answers_is_healthy(name, port, path):
    with serving(path, 200) as server_port:
        assert check(name, port)(server_port) == 0


@pytest.mark.parametrize(("name", "port", "path"), CHECKS)
def test_a_service_that_answers_503_is_unhealthy(name, port, path):
    with serving(path, 503) as server_port:
        assert check(name, port)(server_port) != 0


@pytest.mark.parametrize(("name", "port", "path"), CHECKS)
def test_a_service_that_does_not_answer_is_unhealthy(name, port, path):
    assert check(name, port)(free_port()) != 0
