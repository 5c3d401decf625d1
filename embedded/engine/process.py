"""The engine as a child process: starts it, knows its port, stops it."""

from __future__ import annotations

import json
import sys
import uuid
from pathlib import Path
from types import TracebackType
from typing import Self

from embedded.child_process import ChildProcess, Command, tail
from embedded.data_folder import Ownership
from embedded.errors import EmbeddedError

_GRACE_S = 10.0
_SOURCE = Path(__file__).parents[2]


class EngineProcess:
    """A running engine that keeps its data in one folder and answers on one port of the loopback address."""

    def __init__(self, child: ChildProcess, port: int) -> None:
        """Use EngineProcess.start."""
        self._child = child
        self.port = port

    @classmethod
    def start(cls, data: Path, *, port: int = 0, timeout: float = 60.0, optimize: bool = False) -> Self:
        """Start an engine on the folder `data` and return once it answers, within `timeout` seconds.

        `port` 0 takes a free one. The engine logs to engine.log in the folder, and never outlives this process. With
        `optimize` it first builds the HNSW graphs of large collections, which takes minutes. Raises EmbeddedError with
        the engine's own sentence if it cannot serve.
        """
        data = data.expanduser().resolve()
        # The engine locks the folder itself. Checked here too, because a second engine would empty the first one's log.
        Ownership(data, "an engine").release()
        log, ready = data / "engine.log", data / f"ready-{uuid.uuid4().hex}.json"
        argv = [sys.executable, "-P", "-m", "embedded.engine", "--data", str(data), "--port", str(port)]
        argv += ["--ready-file", str(ready)] + ["--optimize"] * optimize
        child = ChildProcess(
            Command(argv, env={"LC_ALL": "C.UTF-8", "PYTHONPATH": str(_SOURCE)}, log=log, grace=_GRACE_S)
        )
        try:
            if child.wait_until(ready.exists, timeout=timeout):
                return cls(child, json.loads(ready.read_text())["port"])
            if child.poll() is None:
                raise EmbeddedError(f"The engine on {data} does not answer after {timeout:g} s: read {log}.")
            lines = tail(log).splitlines()
            raise EmbeddedError(lines[-1] if lines else f"The engine on {data} ended with an empty log.")
        except BaseException:
            child.kill()
            raise
        finally:
            ready.unlink(missing_ok=True)

    @property
    def url(self) -> str:
        """For QdrantClient(url=..., grpc_port=self.port, prefer_grpc=True, check_compatibility=False)."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The engine's process id."""
        return self._child.pid

    def poll(self) -> int | None:
        """The exit status, negative for a signal, or None while it runs."""
        return self._child.poll()

    def stop(self) -> int:
        """Stop it after the calls in flight, and return the exit status, 0 if all went well."""
        return self._child.stop()

    def kill(self) -> int:
        """End it at once, as a crash would, and return the exit status."""
        return self._child.kill()

    def __enter__(self) -> Self:
        """Nothing to do: it runs already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()
