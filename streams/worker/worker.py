"""A worker: runs the Faust application and its lanes, from start to an orderly shutdown."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from aiokafka.errors import KafkaError

from catalog.errors import FatalError, LiveshelfError, Unavailable
from streams.config import KafkaConfig, WorkerPolicy
from streams.pipeline.pipeline import Pipeline
from streams.topics import check_topics
from streams.worker.app import LanesApp, create_app
from streams.worker.lag import consumer_lag
from streams.worker.log_throttle import throttle_client_logs
from streams.worker.watchdog import Stalled, Watchdog

log = logging.getLogger(__name__)

LAG_TIMEOUT_S = 10.0


class Worker:
    """Reads its lanes until `stop`. One per process; create it inside the event loop that runs it."""

    def __init__(
        self,
        kafka: KafkaConfig,
        lanes: dict[str, Pipeline[Any]],
        *,
        policy: WorkerPolicy = WorkerPolicy(),  # noqa: B008 -- frozen
        on_ready: Callable[[], None] = lambda: None,
        background: Sequence[Callable[[], Coroutine[Any, Any, None]]] = (),
    ) -> None:
        """`lanes` by topic. `on_ready` is called once, after partitions are assigned.

        Each of `background` runs while the worker reads and is cancelled after that. An error that it raises ends the
        worker.
        """
        self._kafka = kafka
        self._lanes = lanes
        self._policy = policy
        self._on_ready = on_ready
        self._background = background
        self._started = False
        self.must_exit = False
        self._stop = asyncio.Event()

    @property
    def ready(self) -> bool:
        """Whether records flow: partitions are assigned, no lane waits out an outage, and `stop` was not called."""
        return self._started and not self._stop.is_set() and not any(lane.outage for lane in self.lanes)

    @property
    def lanes(self) -> Sequence[Pipeline[Any]]:
        return tuple(self._lanes.values())

    def stop(self) -> None:
        """Begins an orderly shutdown: finish batches in flight, commit their offsets, leave the group."""
        self._stop.set()

    async def run(self) -> None:
        """Works until `stop`, and waits during an outage; see `ready`.

        | task            | runs                                     | ends the worker                           |
        |-----------------|------------------------------------------|-------------------------------------------|
        | lane NAME       | `Pipeline.run`, one for each lane        | if a stage fails for good                 |
        | background NAME | each of `background`                     | if it raises                              |
        | start           | Faust's start, then `on_ready`           | if Faust cannot start                     |
        | crash           | waits for the end of the application     | if Faust crashed or lost the broker       |
        | watch           | the watchdog                             | if nothing moves although there is work   |
        | stop            | waits for `stop`                         | always: in order, without an error        |
        | leave           | Faust's shutdown, after all others       | sets `must_exit` if it takes too long     |

        Raises Unavailable if the broker is unavailable at start, InvalidInput if a topic is missing, FatalError if the
        worker cannot continue or makes no progress.
        """
        throttle_client_logs()
        # Faust's consumer thread would wait for ever for a broker that is not running.
        await asyncio.to_thread(check_topics, self._kafka, self._lanes)
        app = create_app(self._kafka, {topic: lane.put for topic, lane in self._lanes.items()}, self._policy)
        lanes = [asyncio.create_task(lane.run(), name=f"lane {lane.lane}") for lane in self.lanes]
        background = [asyncio.create_task(run(), name=f"background {_name(run)}") for run in self._background]
        starting = asyncio.create_task(self._start(app), name="start")
        stopping: asyncio.Task[Any] = asyncio.create_task(self._stop.wait(), name="stop")
        crashing = asyncio.create_task(_crash_of(app), name="crash")
        watching = asyncio.create_task(self._watch(app), name="watch")
        try:
            watched = [*lanes, *background, starting, crashing, watching]
            await asyncio.wait([*watched, stopping], return_when=asyncio.FIRST_COMPLETED)
            failure = next((e for task in watched if task.done() and (e := task.exception())), None)
            if failure is None:
                await _cancel(*background)
                await self._drain(lanes)
        finally:
            self._stop.set()
            await _cancel(starting, stopping, crashing, watching, *background, *lanes)
            await self._leave(app)
        if failure is not None:
            self.must_exit = self.must_exit or isinstance(failure, Stalled)
            raise failure

    async def _start(self, app: LanesApp) -> None:
        await app.start()
        self._started = True
        log.info("Reading %s as group %s.", ", ".join(self._lanes), self._kafka.group)
        self._on_ready()
        await self._stop.wait()

    async def _watch(self, app: LanesApp) -> None:
        async def lag() -> int:
            if not self._started:
                raise Unavailable("The worker has not joined its group yet.")
            return await consumer_lag(app, timeout_s=LAG_TIMEOUT_S)

        await Watchdog(self.lanes, self._policy.stall, lag=lag).run()

    async def _leave(self, app: LanesApp) -> None:
        leaving = asyncio.create_task(app.stop(), name="leave")
        done, _ = await asyncio.wait({leaving}, timeout=self._policy.leave_s)
        if done:
            if error := leaving.exception():
                log.warning("Leaving the group failed: %r", error)
        else:
            self.must_exit = True
            log.warning(
                "The broker at %s did not commit the last offsets within %g s; the records after them are read again.",
                self._kafka.bootstrap,
                self._policy.leave_s,
            )

    async def _drain(self, lanes: Sequence[asyncio.Task[None]]) -> None:
        for lane in self.lanes:
            lane.close()
        done, unfinished = await asyncio.wait(lanes, timeout=self._policy.drain_s)
        if unfinished:
            count = sum(lane.in_flight for lane in self.lanes)
            log.warning("%d records were not finished in %g s; they are read again.", count, self._policy.drain_s)
        for task in done:
            task.result()


async def _crash_of(app: LanesApp) -> None:
    await app.wait_until_stopped()
    reason = app.crash_reason
    if isinstance(reason, LiveshelfError):
        raise reason
    if isinstance(reason, KafkaError):
        raise Unavailable(f"The broker at {app.conf.broker} was lost ({reason!r}): start the worker again.")
    if reason is not None:
        raise FatalError(f"Faust stopped: {reason!r}.") from reason


def _name(function: Callable[[], object]) -> str:
    return getattr(function, "__qualname__", repr(function))


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def run_worker(worker: Worker) -> int:
    """Runs a worker as the process's main task and returns the exit code.

    The code is 0 after SIGTERM or SIGINT and 1 after a LiveshelfError, which is logged. Logging is not configured here.
    If `must_exit` is set, the process exits here, because Python would wait for its threads for ever.
    """
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, worker.stop)
    code = 0
    try:
        await worker.run()
    except LiveshelfError as error:
        log.critical("%s", error)
        code = 1
    finally:
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(name)
    if worker.must_exit:
        logging.shutdown()
        os._exit(code)
    return code
