"""The engine as a child process: start it, know where it answers, stop it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from embedded.errors import EmbeddedError

_POLL_S = 0.02
_STOP_S = 10.0


class EngineProcess:
    """One running engine. Made by `start`; a context manager that stops it."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = process
        self.port = port

    @classmethod
    def start(
        cls,
        data: Path,
        *,
        port: int = 0,
        timeout: float = 30,
        optimize: bool = False,
    ) -> EngineProcess:
        """Start an engine on the folder and wait until it answers, at most `timeout` seconds.

        It logs to engine.log in the folder, and ends when this process ends. Raises EmbeddedError with the engine's
        own sentence where it cannot serve, and where it does not answer in time.
        """
        data.mkdir(parents=True, exist_ok=True)
        ready = data / f"engine.{os.getpid()}.ready"
        ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "embedded.engine", "--data", str(data), "--port", str(port)]
        command += ["--ready-file", str(ready), "--parent-pid", str(os.getpid())]
        if optimize:
            command.append("--optimize")
        log = data / "engine.log"
        with open(log, "ab") as out:
            start_of_log = out.tell()
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)  # noqa: S603
        deadline = time.monotonic() + timeout
        try:
            while not ready.exists():
                if process.poll() is not None:
                    raise EmbeddedError(_last_words(log, start_of_log))
                if time.monotonic() > deadline:
                    raise EmbeddedError(f"the engine does not answer after {timeout:g} s: look into {log}.")
                time.sleep(_POLL_S)
            return cls(process, json.loads(ready.read_text())["port"])
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            ready.unlink(missing_ok=True)

    @property
    def url(self) -> str:
        """For QdrantClient(url=..., grpc_port=self.port, prefer_grpc=True, check_compatibility=False)."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> int:
        """Ask the engine to finish and wait until it has; its exit status. It is killed after 10 s."""
        self._process.terminate()
        try:
            return self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """End the engine at once, as a crash would; its exit status."""
        self._process.kill()
        return self._process.wait()

    def __enter__(self) -> EngineProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _last_words(log: Path, start: int) -> str:
    with open(log, "rb") as lines:
        lines.seek(start)
        said = lines.read().decode(errors="replace").strip().splitlines()
    return said[-1] if said else f"the engine ended without a word: look into {log}."
