"""How soon a change is visible to a search, at shares of what a pipeline can take."""

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
GOALS_MS = {50: {"p50": 60.0, "p99": 500.0}}  # by percent of what the pipeline can take


@dataclass(frozen=True, slots=True)
class FreshnessPolicy:
    """A burst of `burst` changes says what the pipeline can take; then steps of `seconds` at so many percent of it.

    A `rate` in changes a second, where there is one, stands for what the burst says.
    """

    burst: int = 3000
    seconds: float = 45.0
    at: Sequence[int] = (25, 50, 80)
    rate: float | None = None
    seed: int = 1


@dataclass(frozen=True, slots=True)
class PipelineUnderTest:
    """A running pipeline: its settings say topic and group, its reader where it writes."""

    name: str
    settings: Settings
    reader: Reader
    changes: EventGenerator


@dataclass(frozen=True, slots=True)
class RateStep:
    """Changes at one rate, in changes a second: how long those took that are timed, in milliseconds, one by one."""

    percent: int
    rate: float
    ms: np.ndarray
    unseen: int
    poll_ms: float
    late_ms: float

    def quantile(self, percent: float) -> float:
        """NaN where nothing was timed."""
        return float(np.percentile(self.ms, percent)) if len(self.ms) else float("nan")


def measure_freshness(
    shop: Shop, path: Path, *, items: int, policy: FreshnessPolicy, weights: Mapping[str, float] = CONTENT
) -> list[Figure]:
    """Loads `items` products, and says how soon changes are visible at each step.

    Raises FatalError for one not seen.
    """
    space = asyncio.run(space_of(shop.settings))
    changes = EventGenerator(products(path, items), rng=random.Random(policy.seed))  # noqa: S311 -- a benchmark's
    with ours(shop, space, changes) as target:
        load(target)
        most = capacity(target, weights, policy)
        found = list(steps(target, weights, policy, most))
    figures = [Figure("changes applied of a burst", most, "items/s")]
    for step in found:
        if step.unseen:
            raise FatalError(f"At {step.rate:.1f} changes a second {step.unseen} of them were never seen by a search.")
        at = f"{step.percent} % of that"
        for name, percent in (("p50", 50), ("p95", 95), ("p99", 99)):
            most_ms = GOALS_MS.get(step.percent, {}).get(name)
            figures.append(Figure(f"to visible at {at}, {name}", step.quantile(percent), "ms", most=most_ms))
    return figures


@contextmanager
def ours(shop: Shop, space: Space, changes: EventGenerator) -> Iterator[PipelineUnderTest]:
    """One worker."""
    with shop.workers(1):
        yield PipelineUnderTest("liveshelf", shop.settings, Reader(shop.settings.collection, space), changes)


@contextmanager
def theirs(shop: Shop, space: Space, changes: EventGenerator) -> Iterator[PipelineUnderTest]:
    """The straightforward pipeline; `changes` are to be whole products."""
    with straightforward(shop) as (settings, _):
        yield PipelineUnderTest("straightforward", settings, Reader(settings.collection, space, "version"), changes)


def load(target: PipelineUnderTest) -> None:
    """Every product as it is."""
    saturation(target.settings, list(target.changes.whole()))


def capacity(target: PipelineUnderTest, weights: Mapping[str, float], policy: FreshnessPolicy) -> float:
    """Changes a second that the pipeline takes."""
    return policy.rate or saturation(target.settings, [target.changes.draw(weights) for _ in range(policy.burst)])


def steps(
    target: PipelineUnderTest, weights: Mapping[str, float], policy: FreshnessPolicy, most: float
) -> Iterator[RateStep]:
    """Sends at random moments at each share of `most`; what came in the first WARM_S seconds is not timed."""
    rng = random.Random(policy.seed + 1)  # noqa: S311 -- a benchmark's
    for percent in policy.at:
        rate = most * percent / 100
        at = moments(rate, WARM_S + policy.seconds, rng)
        drawn = [target.changes.draw(weights) for _ in at]
        flights = asyncio.run(fly(target, drawn, at))
        # What changes nothing is looked for, because its version may hide that of a change before it, and not timed.
        untimed = {m.version for m, moment in zip(drawn, at, strict=True) if moment < WARM_S or m.kind == "same"}
        took = [seconds for version, seconds in flights.took.items() if version not in untimed]
        poll_ms = 1000 * float(np.mean(flights.poll_s)) if flights.poll_s else float("nan")
        yield RateStep(percent, rate, 1000 * np.array(took), len(flights.due), poll_ms, 1000 * flights.late_s)


def saturation(settings: Settings, changes: list[GeneratedEvent]) -> float:
    """Changes a second that a burst of them is applied with, once the first tenth is."""
    kafka, topic = kafka_of(settings), settings.live_topic
    noted: list[tuple[float, int]] = []
    started = time.perf_counter()
    with Publisher(kafka, topic) as publisher:
        for made in changes:
            publisher.send(made.key, made.value)
        ends = publisher.flush()

    def note(left: int) -> None:
        done = len(changes) - left
        if done >= len(changes) / 10 and (not noted or done > noted[-1][1]):
            noted.append((time.perf_counter(), done))

    wait_until_applied(kafka, topic, ends, timeout_s=3600, on_progress=note, every_s=0.05)
    (began, first), (ended, last) = noted[0] if len(noted) > 1 else (started, 0), noted[-1]
    return (last - first) / (ended - began)


async def fly(target: PipelineUnderTest, changes: Sequence[GeneratedEvent], at: Sequence[float]) -> PendingChanges:
    """Sends and watches until everything is seen."""
    settings = target.settings
    flights = PendingChanges()
    client = connect(settings.qdrant_url, api_key=secret(settings.qdrant_api_key), timeout_s=30)
    with Publisher(kafka_of(settings), settings.live_topic, policy=AT_ONCE) as publisher:
        sender = Sender(publisher, changes, at, flights)
        sender.start()
        try:
            await watch(client, target.reader, flights, sender)
        finally:
            sender.stop.set()
            sender.join()
            await client.close()
    return flights


async def space_of(settings: Settings) -> Space:
    """The space of the settings' model."""
    async with encoder_of(settings) as encoder:
        return encoder.space
