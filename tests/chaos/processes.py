"""The processes of a shop and the proxies between them: started, broken, healed."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from time import monotonic

from embedded.broker import Broker
from embedded.engine.process import EngineProcess
from liveshelf.settings import Settings, environment, load_settings
from tests.chaos.errors import NotInTime
from tests.chaos.photo_host import PhotoHost
from tests.chaos.photos import ALLOWED, MAX_BYTES, MAX_PIXELS
from tests.chaos.proxy import CallFaults, GrpcProxy, TcpProxy
from tests.chaos.schedule import SESSION_S, Setting

READY_S = 120.0
STOP_S = 60.0
QDRANT_TIMEOUT_S = 4.0
IMAGE_TIMEOUT_S = 2.0
# With the line before it, which names the action, and up to the next line of the log.
TRACEBACK = re.compile(r"(?:.*\n)?.*Traceback \(most recent call last\)(?:.*\n(?!\d{4}-\d\d-\d\d ))*.*")


class Worker:
    """A `liveshelf worker` process with a name of its own. `start` starts it, also again."""

    def __init__(self, name: str, settings: Settings, folder: Path) -> None:
        self.name = name
        self._ready = folder / f"{name}.ready"
        self._log = folder / f"{name}.log"
        self._env = environment(settings.model_copy(update={"ready_file": self._ready}))
        self._log_start = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.stopped = False
        self.killed = False
        self.served = False

    def start(self) -> None:
        self._ready.unlink(missing_ok=True)
        self.killed = self.served = False
        with self._log.open("ab") as log:
            self._log_start = log.tell()
            self.process = subprocess.Popen(
                [sys.executable, "-m", "liveshelf", "worker"], env=self._env, stdout=log, stderr=subprocess.STDOUT
            )

    @property
    def ready(self) -> bool:
        is_ready = self._ready.exists()
        self.served |= is_ready
        return is_ready

    @property
    def code(self) -> int | None:
        """The exit code, None while it runs or before it ran."""
        return self.process.poll() if self.process else None

    def signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.stopped = number is signal.SIGSTOP
            self.killed |= number is signal.SIGKILL

    def wait(self, seconds: float) -> int:
        """The exit code. Raises NotInTime if it does not end in time."""
        assert self.process is not None
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise NotInTime(f"{self.name} did not end within {seconds:g} s of the signal") from None

    def last_message(self) -> str:
        """The sentence with the reason of its end, or else the last line since its start."""
        lines = self._log.read_bytes()[self._log_start :].decode(errors="replace").strip().splitlines()
        sentences = [line for line in lines if " CRITICAL " in line or line.startswith("Error: ")]
        return (sentences or lines or [""])[-1][:300]

    @property
    def tracebacks(self) -> list[str]:
        """The tracebacks in its log, of all starts."""
        return TRACEBACK.findall(self._log.read_text(errors="replace"))


class Processes:
    """Broker, engine behind two proxies, hosts of photos, and workers, in one folder."""

    def __init__(self, folder: Path, cache: Path, setting: Setting, chance: random.Random) -> None:
        self.folder = folder
        self.setting = setting
        self.host = PhotoHost()
        self.call_faults = CallFaults(chance)
        self.grpc_proxy = GrpcProxy(self.call_faults)
        self.tcp_proxy = TcpProxy()
        self.workers: list[Worker] = []
        self.exits: list[str] = []
        self._left: list[Worker] = []
        self._breaking: set[asyncio.Task[object]] = set()
        self._cache = cache
        self._born = 0
        self._cleanup = AsyncExitStack()

    async def start(self) -> None:
        on_stop = self._cleanup.push_async_callback
        self.broker = await asyncio.to_thread(Broker.start, self.folder / "broker", cache=self._cache, timeout=90)
        on_stop(lambda: asyncio.to_thread(self.broker.kill))
        self.engine = await asyncio.to_thread(EngineProcess.start, self.folder / "engine")
        on_stop(lambda: asyncio.to_thread(self.engine.kill))
        await self.host.start()
        on_stop(self.host.stop)
        await self.tcp_proxy.start(self.engine.port)
        on_stop(self.tcp_proxy.stop)
        await self.grpc_proxy.start(self.tcp_proxy.port)
        on_stop(self.grpc_proxy.stop)
        self.settings = load_settings(
            kafka_bootstrap_servers=self.broker.bootstrap,
            qdrant_url=f"http://127.0.0.1:{self.grpc_proxy.port}",
            qdrant_timeout_seconds=QDRANT_TIMEOUT_S,
            default_tenant="shop",
            collection="chaos",
            kafka_group_id="chaos",
            topic_partitions=self.setting.partitions,
            batch_max_records=self.setting.batch_size,
            image_allow_hosts=(ALLOWED,),
            image_max_bytes=MAX_BYTES,
            image_max_pixels=MAX_PIXELS,
            image_timeout_seconds=IMAGE_TIMEOUT_S,
            kafka_session_timeout_seconds=SESSION_S,
            image_retry_delays_seconds=self.setting.repair_after_s,
            stall_timeout_seconds=45,
            encoder_threads=1,
        )
        for _ in range(self.setting.workers):
            self.join()
        await self.until(lambda: all(w.ready for w in self.workers), READY_S, "the workers are ready")

    def join(self) -> Worker:
        """Starts one more worker."""
        name = f"worker-{self._born}"
        self._born += 1
        more = {"kafka_group_instance_id": name} if self.setting.members else {}
        worker = Worker(name, self.settings.model_copy(update=more), self.folder)
        worker.start()
        self.workers.append(worker)
        return worker

    async def leave(self, worker: Worker) -> None:
        """Ends one worker with SIGTERM, in order."""
        self.workers.remove(worker)
        served = worker.served or worker.ready
        worker.signal(signal.SIGTERM)
        try:
            code = await asyncio.to_thread(worker.wait, STOP_S)
        except NotInTime:
            worker.signal(signal.SIGKILL)
            raise
        self._left.append(worker)
        # A worker that gets the signal before it handles signals has nothing to finish.
        if code and (served or code != -signal.SIGTERM):
            self.exits.append(f"with {code} after SIGTERM: {worker.last_message()}")

    async def drain(self) -> list[str]:
        """Ends all workers with SIGTERM while all is healthy. Returns a sentence for each that did not end in order."""
        for worker in self.workers:
            worker.signal(signal.SIGTERM)
        errors = []
        for worker in self.workers:
            try:
                if code := await asyncio.to_thread(worker.wait, STOP_S):
                    errors.append(f"{worker.name} ended with {code} after SIGTERM: {worker.last_message()}")
            except NotInTime as error:
                errors.append(str(error))
        return errors

    @property
    def tracebacks(self) -> list[str]:
        """The tracebacks in the logs of all workers."""
        return [f"{w.name}.log: {traceback}" for w in (*self._left, *self.workers) for traceback in w.tracebacks]

    def restart_ended(self) -> None:
        """Starts ended workers again, as an orchestrator does, and notes those that were not killed."""
        for worker in self.workers:
            if worker.code is not None:
                if not worker.killed:
                    self.exits.append(f"with {worker.code}: {worker.last_message()}")
                worker.start()

    async def break_engine(self, *, kill: bool, away_s: float = 0.0) -> None:
        await self._to_the_end(self.engine.kill if kill else self.engine.stop)
        await asyncio.sleep(away_s)
        await self._to_the_end(self._restart_engine)

    async def break_broker(self, *, kill: bool, away_s: float) -> None:
        await self._to_the_end(self.broker.kill if kill else self.broker.stop)
        await asyncio.sleep(away_s)
        await self._to_the_end(self._restart_broker)

    def _restart_engine(self) -> None:
        self.engine = EngineProcess.start(self.folder / "engine", port=self.engine.port)

    def _restart_broker(self) -> None:
        port = int(self.broker.bootstrap.rpartition(":")[2])
        self.broker = Broker.start(self.folder / "broker", cache=self._cache, port=port, timeout=90)

    async def _to_the_end(self, work: Callable[[], object]) -> None:
        """Runs in a thread to its end, even if the schedule is cancelled: started processes must be stopped."""
        task = asyncio.create_task(asyncio.to_thread(work))
        self._breaking.add(task)
        task.add_done_callback(self._breaking.discard)
        await asyncio.shield(task)

    @property
    def effects(self) -> Counter[str]:
        """Failed and slow calls of the engine and requested photos, which show that faults took effect."""
        return self.call_faults.seen + Counter({"cut off": self.tcp_proxy.broken}) + self.host.requests

    async def freeze(self, pid: int, seconds: float) -> None:
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    async def until(self, holds: Callable[[], bool], seconds: float, what: str) -> None:
        """Waits for a condition and restarts ended workers meanwhile. Raises NotInTime."""
        deadline = monotonic() + seconds
        while not holds():
            self.restart_ended()
            if monotonic() > deadline:
                raise NotInTime(f"after {seconds:g} s it is not true that {what}")
            await asyncio.sleep(0.1)

    async def stop(self) -> None:
        """Ends everything, whatever its state."""
        await asyncio.gather(*self._breaking, return_exceptions=True)
        for worker in self.workers:
            worker.signal(signal.SIGKILL)
        for worker in self.workers:
            if worker.process is not None:
                worker.process.wait()
        await self._cleanup.aclose()
