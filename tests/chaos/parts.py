"""The processes of a shop and what stands between them: started, hurt, healed."""

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
from tests.chaos.photo_host import PhotoHost
from tests.chaos.photos import ALLOWED, MAX_BYTES, MAX_PIXELS
from tests.chaos.proxy import Calls, Weather, Wire
from tests.chaos.schedule import SESSION_S, Setting
from tests.chaos.stuck import Stuck

READY_S = 120.0
STOP_S = 60.0
QDRANT_TIMEOUT_S = 4.0
IMAGE_TIMEOUT_S = 2.0
# With the line before it, which says what was tried, and up to the next line of the log.
TRACEBACK = re.compile(r"(?:.*\n)?.*Traceback \(most recent call last\)(?:.*\n(?!\d{4}-\d\d-\d\d ))*.*")


class Worker:
    """A `liveshelf worker` process with a name of its own. `start` begins another life of it."""

    def __init__(self, name: str, settings: Settings, folder: Path) -> None:
        self.name = name
        self._ready = folder / f"{name}.ready"
        self._log = folder / f"{name}.log"
        self._env = environment(settings.model_copy(update={"ready_file": self._ready}))
        self._born = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.stopped = False
        self.killed = False
        self.served = False

    def start(self) -> None:
        self._ready.unlink(missing_ok=True)
        self.killed = self.served = False
        with self._log.open("ab") as log:
            self._born = log.tell()
            self.process = subprocess.Popen(
                [sys.executable, "-m", "liveshelf", "worker"], env=self._env, stdout=log, stderr=subprocess.STDOUT
            )

    @property
    def ready(self) -> bool:
        there = self._ready.exists()
        self.served |= there
        return there

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
        """The exit code. Raises Stuck where it does not end in time."""
        assert self.process is not None
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Stuck(f"{self.name} did not end within {seconds:g} s of being asked") from None

    def last_words(self) -> str:
        """Why it ended: the sentence that says so, or else the last line of this life."""
        lines = self._log.read_bytes()[self._born :].decode(errors="replace").strip().splitlines()
        sentences = [line for line in lines if " CRITICAL " in line or line.startswith("Error: ")]
        return (sentences or lines or [""])[-1][:300]

    @property
    def tracebacks(self) -> list[str]:
        """Those its log has, of all its lives."""
        return TRACEBACK.findall(self._log.read_text(errors="replace"))


class Parts:
    """Broker, engine with a wire and calls before it, hosts of photos, and workers, on one folder."""

    def __init__(self, folder: Path, cache: Path, setting: Setting, chance: random.Random) -> None:
        self.folder = folder
        self.setting = setting
        self.host = PhotoHost()
        self.weather = Weather(chance)
        self.calls = Calls(self.weather)
        self.wire = Wire()
        self.workers: list[Worker] = []
        self.exits: list[str] = []
        self._gone: list[Worker] = []
        self._working: set[asyncio.Task[object]] = set()
        self._cache = cache
        self._born = 0
        self._undo = AsyncExitStack()

    async def start(self) -> None:
        undo = self._undo.push_async_callback
        self.broker = await asyncio.to_thread(Broker.start, self.folder / "broker", cache=self._cache, timeout=90)
        undo(lambda: asyncio.to_thread(self.broker.kill))
        self.engine = await asyncio.to_thread(EngineProcess.start, self.folder / "engine")
        undo(lambda: asyncio.to_thread(self.engine.kill))
        await self.host.start()
        undo(self.host.stop)
        await self.wire.start(self.engine.port)
        undo(self.wire.stop)
        await self.calls.start(self.wire.port)
        undo(self.calls.stop)
        self.settings = load_settings(
            kafka_bootstrap_servers=self.broker.bootstrap,
            qdrant_url=f"http://127.0.0.1:{self.calls.port}",
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
        """One more worker."""
        name = f"worker-{self._born}"
        self._born += 1
        more = {"kafka_group_instance_id": name} if self.setting.members else {}
        worker = Worker(name, self.settings.model_copy(update=more), self.folder)
        worker.start()
        self.workers.append(worker)
        return worker

    async def leave(self, worker: Worker) -> None:
        """A worker is asked to end, and ends in good order."""
        self.workers.remove(worker)
        served = worker.served or worker.ready
        worker.signal(signal.SIGTERM)
        try:
            code = await asyncio.to_thread(worker.wait, STOP_S)
        except Stuck:
            worker.signal(signal.SIGKILL)
            raise
        self._gone.append(worker)
        # One that is asked before it has begun to listen to signals has nothing to finish.
        if code and (served or code != -signal.SIGTERM):
            self.exits.append(f"with {code} when asked to: {worker.last_words()}")

    async def drain(self) -> list[str]:
        """All workers are asked to end while everything is well; a sentence for each that did not end as it should."""
        for worker in self.workers:
            worker.signal(signal.SIGTERM)
        said = []
        for worker in self.workers:
            try:
                if code := await asyncio.to_thread(worker.wait, STOP_S):
                    said.append(f"{worker.name} ended with {code} when asked to: {worker.last_words()}")
            except Stuck as error:
                said.append(str(error))
        return said

    @property
    def tracebacks(self) -> list[str]:
        """Those in the logs of the workers."""
        return [f"{w.name}.log: {traceback}" for w in (*self._gone, *self.workers) for traceback in w.tracebacks]

    def look_after(self) -> None:
        """What ends by itself with a sentence is started again, as an orchestrator would."""
        for worker in self.workers:
            if worker.code is not None:
                if not worker.killed:
                    self.exits.append(f"with {worker.code}: {worker.last_words()}")
                worker.start()

    async def break_engine(self, *, kill: bool, away_s: float = 0.0) -> None:
        await self._through(self.engine.kill if kill else self.engine.stop)
        await asyncio.sleep(away_s)
        await self._through(self._restart_engine)

    async def break_broker(self, *, kill: bool, away_s: float) -> None:
        await self._through(self.broker.kill if kill else self.broker.stop)
        await asyncio.sleep(away_s)
        await self._through(self._restart_broker)

    def _restart_engine(self) -> None:
        self.engine = EngineProcess.start(self.folder / "engine", port=self.engine.port)

    def _restart_broker(self) -> None:
        port = int(self.broker.bootstrap.rpartition(":")[2])
        self.broker = Broker.start(self.folder / "broker", cache=self._cache, port=port, timeout=90)

    async def _through(self, work: Callable[[], object]) -> None:
        """In a thread, and to its end even where the schedule is called off: what it starts is to be stopped."""
        task = asyncio.create_task(asyncio.to_thread(work))
        self._working.add(task)
        task.add_done_callback(self._working.discard)
        await asyncio.shield(task)

    @property
    def befell(self) -> Counter[str]:
        """What calls of the engine met, and which photos were asked for, so that one sees that faults took effect."""
        return self.weather.seen + Counter({"cut off": self.wire.broken}) + self.host.asked

    async def freeze(self, pid: int, seconds: float) -> None:
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    async def until(self, holds: Callable[[], bool], seconds: float, what: str) -> None:
        """Raises Stuck where it does not hold in time; looks after the workers meanwhile."""
        end = monotonic() + seconds
        while not holds():
            self.look_after()
            if monotonic() > end:
                raise Stuck(f"after {seconds:g} s it is not so that {what}")
            await asyncio.sleep(0.1)

    async def stop(self) -> None:
        """Everything ends, however it stands; nothing is waited for in vain."""
        await asyncio.gather(*self._working, return_exceptions=True)
        for worker in self.workers:
            worker.signal(signal.SIGKILL)
        for worker in self.workers:
            if worker.process is not None:
                worker.process.wait()
        await self._undo.aclose()
