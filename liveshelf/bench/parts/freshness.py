"""Measures how soon a change is visible to a search, at shares of a pipeline's capacity."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from catalog.domain.space import Space
from catalog.errors import FatalError
from indexer import connect
from liveshelf.bench.baselines.simple_worker import straightforward
from liveshelf.bench.harness.catalogue import products
from liveshelf.bench.harness.figures import Figure
from liveshelf.bench.harness.load import EventGenerator, GeneratedEvent
from liveshelf.bench.harness.shop import Shop
from liveshelf.bench.harness.visibility import PendingChanges, Reader, Sender, moments, watch
from liveshelf.settings import Settings, secret
from liveshelf.wiring.encoder import encoder_of
from liveshelf.wiring.kafka import kafka_of
from streams.publish.publisher import Publisher, PublishPolicy
from streams.publish.wait_applied import wait_until_applied

CONTENT = {"content": 1}
AT_ONCE = PublishPolicy(linger_ms=0)
WARM_S = 5.0
GOALS_MS = {50: {"p50": 60.0, "p99": 500.0}}  # by percent of the pipeline's capacity


@dataclass(frozen=True, slots=True)
class FreshnessPolicy:
    """A burst of `burst` changes measures the capacity; then steps of `seconds` run at the percentages `at` of it.

    `rate`, in changes a second, replaces the measured capacity.
    """

    burst: int = 3000
    seconds: float = 45.0
    at: Sequence[int] = (25, 50, 80)
    rate: float | None = None
    seed: int = 1


@dataclass(frozen=True, slots=True)
class PipelineUnderTest:
    """A running pipeline: settings with its topic and group, and a reader of its collection."""

    name: str
    settings: Settings
    reader: Reader
    changes: EventGenerator


@dataclass(frozen=True, slots=True)
class RateStep:
    """One step at `rate` changes a second: the latency of each timed change in milliseconds."""

    percent: int
    rate: float
    ms: np.ndarray
    unseen: int
    poll_ms: float
    late_ms: float

    def quantile(self, percent: float) -> float:
        """A percentile of the latencies; NaN if no change was timed."""
        return float(np.percentile(self.ms, percent)) if len(self.ms) else float("nan")


def measure_freshness(
    shop: Shop, path: Path, *, items: int, policy: FreshnessPolicy, weights: Mapping[str, float] = CONTENT
) -> list[Figure]:
    """Loads `items` products, and measures how soon changes are visible at each step.

    Raises FatalError if a change never becomes visible.
    """
    space = asyncio.run(space_of(shop.settings))
    changes = EventGenerator(products(path, items), rng=random.Random(policy.seed))  # noqa: S311 -- a benchmark's
    with ours(shop, space, changes) as target:
        load(target)
        max_rate = capacity(target, weights, policy)
        rate_steps = list(steps(target, weights, policy, max_rate))
    figures = [Figure("changes applied of a burst", max_rate, "items/s")]
    for step in rate_steps:
        if step.unseen:
            raise FatalError(
                f"At {step.rate:.1f} changes a second, {step.unseen} changes never became visible to a search."
            )
        at = f"{step.percent} % of that"
        for name, percent in (("p50", 50), ("p95", 95), ("p99", 99)):
            most_ms = GOALS_MS.get(step.percent, {}).get(name)
            figures.append(Figure(f"to visible at {at}, {name}", step.quantile(percent), "ms", most=most_ms))
    return figures


@contextmanager
def ours(shop: Shop, space: Space, changes: EventGenerator) -> Iterator[PipelineUnderTest]:
    """Yields liveshelf with one worker."""
    with shop.workers(1):
        yield PipelineUnderTest("liveshelf", shop.settings, Reader(shop.settings.collection, space), changes)


@contextmanager
def theirs(shop: Shop, space: Space, changes: EventGenerator) -> Iterator[PipelineUnderTest]:
    """Yields the baseline pipeline; `changes` must be full products."""
    with straightforward(shop) as (settings, _):
        yield PipelineUnderTest("straightforward", settings, Reader(settings.collection, space, "version"), changes)


def load(target: PipelineUnderTest) -> None:
    """Loads every product."""
    saturation(target.settings, list(target.changes.all_puts()))


def capacity(target: PipelineUnderTest, weights: Mapping[str, float], policy: FreshnessPolicy) -> float:
    """The changes a second that the pipeline can apply."""
    return policy.rate or saturation(target.settings, [target.changes.draw(weights) for _ in range(policy.burst)])


def steps(
    target: PipelineUnderTest, weights: Mapping[str, float], policy: FreshnessPolicy, capacity: float
) -> Iterator[RateStep]:
    """Sends at random times at each share of `capacity`; does not time changes of the first WARM_S seconds."""
    rng = random.Random(policy.seed + 1)  # noqa: S311 -- a benchmark's
    for percent in policy.at:
        rate = capacity * percent / 100
        at = moments(rate, WARM_S + policy.seconds, rng)
        changes = [target.changes.draw(weights) for _ in at]
        pending = asyncio.run(send_and_watch(target, changes, at))
        # Events that change nothing are not timed, but watched: their version can hide that of an earlier change.
        untimed = {m.version for m, moment in zip(changes, at, strict=True) if moment < WARM_S or m.kind == "same"}
        latencies = [seconds for version, seconds in pending.took.items() if version not in untimed]
        poll_ms = 1000 * float(np.mean(pending.poll_s)) if pending.poll_s else float("nan")
        yield RateStep(percent, rate, 1000 * np.array(latencies), len(pending.due), poll_ms, 1000 * pending.late_s)


def saturation(settings: Settings, changes: list[GeneratedEvent]) -> float:
    """Changes a second at which a burst is applied, after its first tenth."""
    kafka, topic = kafka_of(settings), settings.live_topic
    progress: list[tuple[float, int]] = []
    started = time.perf_counter()
    with Publisher(kafka, topic) as publisher:
        for change in changes:
            publisher.send(change.key, change.value)
        ends = publisher.flush()

    def note(remaining: int) -> None:
        done = len(changes) - remaining
        if done >= len(changes) / 10 and (not progress or done > progress[-1][1]):
            progress.append((time.perf_counter(), done))

    wait_until_applied(kafka, topic, ends, timeout_s=3600, on_progress=note, every_s=0.05)
    (first_at, first), (last_at, last) = progress[0] if len(progress) > 1 else (started, 0), progress[-1]
    return (last - first) / (last_at - first_at)


async def send_and_watch(
    target: PipelineUnderTest, changes: Sequence[GeneratedEvent], at: Sequence[float]
) -> PendingChanges:
    """Sends the changes and watches until all are seen."""
    settings = target.settings
    pending = PendingChanges()
    client = connect(settings.qdrant_url, api_key=secret(settings.qdrant_api_key), timeout_s=30)
    with Publisher(kafka_of(settings), settings.live_topic, policy=AT_ONCE) as publisher:
        sender = Sender(publisher, changes, at, pending)
        sender.start()
        try:
            await watch(client, target.reader, pending, sender)
        finally:
            sender.stop.set()
            sender.join()
            await client.close()
    return pending


async def space_of(settings: Settings) -> Space:
    """The vector space of the settings' model."""
    async with encoder_of(settings) as encoder:
        return encoder.space
