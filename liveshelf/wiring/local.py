"""Everything on one machine: broker, engine, worker and search as one process group."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from embedded.broker import Broker
from embedded.child_process import ChildProcess, Command
from embedded.data_folder import DataFolder
from embedded.engine.process import EngineProcess
from embedded.process_group import GroupMember, ProcessGroup
from liveshelf.settings import Settings, environment

DRAIN_MARGIN_S = 5.0


class LocalShelf:
    """The four processes, on the settings' data folder; a context manager that starts and stops them.

    Port 0 takes a free port. While it runs, `settings` has the processes' addresses. Raises EmbeddedError if a process
    does not start; `group.wait` raises it if one ends.
    """

    def __init__(self, settings: Settings, *, broker_port: int = 0, engine_port: int = 0) -> None:
        self.settings = settings
        folder = DataFolder(settings.data_dir.resolve())
        self._run, self._logs = folder.run, folder.logs
        broker = GroupMember("broker", lambda: self._broker(folder, broker_port), folder.broker / "broker.log")
        engine = GroupMember("engine", lambda: self._engine(folder, engine_port), folder.engine / "engine.log")
        self.group = ProcessGroup([[broker, engine], [self._command("worker"), self._command("serve")]])

    @property
    def url(self) -> str:
        """The base URL of the search service."""
        port = json.loads(self._ready_file("serve").read_text("utf-8"))["port"]
        return f"http://{self.settings.search_host}:{port}"

    def __enter__(self) -> Self:
        self._run.mkdir(parents=True, exist_ok=True)
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

    def _command(self, name: str) -> GroupMember:
        # The environment is built when the member starts: only then are the addresses of broker and engine set.
        ready = self._ready_file(name)
        log = self._logs / f"{name}.log"

        def command() -> Command:
            settings = self.settings.model_copy(update={"ready_file": ready, "kafka_group_instance_id": name})
            return Command(
                argv=[sys.executable, "-m", "liveshelf", name],
                env=environment(settings),
                log=log,
                grace=settings.drain_timeout_seconds + DRAIN_MARGIN_S,
            )

        return GroupMember(name, lambda: ChildProcess(command()), log, ready.exists)

    def _ready_file(self, name: str) -> Path:
        return self._run / f"{name}.ready"
