"""Everything on one machine: broker, engine, worker and search as one process group."""

from __future__ import annotations

import errno
import json
import socket
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from catalog.errors import InvalidInput
from embedded.broker import Broker
from embedded.child_process import ChildProcess, Command
from embedded.data_folder import DataFolder, Ownership, make_folder
from embedded.engine.process import EngineProcess
from embedded.process_group import GroupMember, ProcessGroup
from liveshelf.settings import Settings, environment

DRAIN_MARGIN_S = 5.0
# How to give each member another port.
ANOTHER_PORT = {
    "broker": "set LIVESHELF_KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:{}",
    "engine": "set LIVESHELF_QDRANT_URL=http://127.0.0.1:{}",
    "search service": "set LIVESHELF_SEARCH_PORT={}",
}


class LocalShelf:
    """Broker, engine, worker and search service on one data folder; a context manager starts and stops them.

    Ports of 0 take free ones. While it runs, `settings` has the addresses in use. Entering raises InvalidInput if a
    port is in use and EmbeddedError if a process does not start; `group.wait` raises EmbeddedError if one ends.
    """

    def __init__(self, settings: Settings, *, broker_port: int = 0, engine_port: int = 0) -> None:
        self.settings = settings
        self._folder = folder = DataFolder(settings.data_dir.resolve())
        self._ports = {"broker": broker_port, "engine": engine_port, "search service": settings.search_port}
        broker = GroupMember("broker", lambda: self._broker(folder, broker_port), folder.broker / "broker.log")
        engine = GroupMember("engine", lambda: self._engine(folder, engine_port), folder.engine / "engine.log")
        self.group = ProcessGroup(
            [[broker, engine], [self._command("worker", "worker"), self._command("search service", "serve")]]
        )

    @property
    def url(self) -> str:
        """Where the search service answers."""
        port = json.loads(self._ready_file("serve").read_text("utf-8"))["port"]
        return f"http://{self.settings.search_host}:{port}"

    def __enter__(self) -> Self:
        for folder in (self._folder.run, self._folder.logs):
            make_folder(folder)
        self._check_free()
        for name in ("worker", "serve"):
            self._ready_file(name).unlink(missing_ok=True)
        self.group.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.group.__exit__(kind, error, trace)

    def _broker(self, folder: DataFolder, port: int) -> Broker:
        broker = Broker.start(folder.broker, cache=self.settings.cache_dir, port=port)
        self.settings = self.settings.model_copy(update={"kafka_bootstrap_servers": broker.bootstrap})
        return broker

    def _engine(self, folder: DataFolder, port: int) -> EngineProcess:
        engine = EngineProcess.start(folder.engine, port=port)
        self.settings = self.settings.model_copy(update={"qdrant_url": engine.url})
        return engine

    def _check_free(self) -> None:
        """Raises EmbeddedError if another process has the data folder, or InvalidInput if it has one of the ports."""
        # The folders first: if another `liveshelf up` runs on them, it has the ports too, and is what to stop.
        for folder, owner in ((self._folder.broker, "a broker"), (self._folder.engine, "an engine")):
            Ownership(folder, owner).release()
        for member, port in self._ports.items():
            host = self.settings.search_host if member == "search service" else "127.0.0.1"
            if port and not _is_free(host, port):
                raise InvalidInput(
                    f"{host}:{port}, the port of the {member}, is in use: stop the process that has it, or "
                    f"{ANOTHER_PORT[member].format(port + 100 if port < 65_400 else port - 100)}"
                )

    def _command(self, member: str, name: str) -> GroupMember:
        # The environment is made when the member starts: by then broker and engine have said where they are.
        ready = self._ready_file(name)
        log = self._folder.logs / f"{name}.log"

        def command() -> Command:
            settings = self.settings.model_copy(update={"ready_file": ready, "kafka_group_instance_id": name})
            return Command(
                argv=[sys.executable, "-m", "liveshelf", name],
                env=environment(settings),
                log=log,
                grace=settings.drain_timeout_seconds + DRAIN_MARGIN_S,
            )

        return GroupMember(member, lambda: ChildProcess(command()), log, ready.exists)

    def _ready_file(self, name: str) -> Path:
        return self._folder.run / f"{name}.ready"


def _is_free(host: str, port: int) -> bool:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error.errno != errno.EADDRINUSE
    return True
