"""How soon a change is visible to a search, at a quarter, half and four fifths of what the pipeline can take.

    python -m benchmarks.freshness PATH [--mix] [--pipeline liveshelf|straightforward|both] [--seconds 45]

Starts broker, engine and one worker of its own. What it can take is measured first, by a burst on the live topic. Then
changes are sent at random moments, at a rate, whether or not those before them were seen, and a reader searches for
them every few milliseconds. A change's time runs from the moment it was to be sent to the first answer that shows it.
Changes are new photos with titles; with --mix 60 % are prices, 25 % change nothing (and are not timed) and 15 % are new
photos. The straightforward pipeline (liveshelf/bench/baselines/simple_pipeline.py) is sent whole products, not patches.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from collections.abc import Mapping
from pathlib import Path

from benchmarks.shop import number, open_shop, products
from liveshelf.bench.harness.load import MIX, EventGenerator
from liveshelf.bench.harness.visibility import POLL_S, REST
from liveshelf.bench.parts.freshness import (
    CONTENT,
    FreshnessPolicy,
    PipelineUnderTest,
    RateStep,
    capacity,
    load,
    ours,
    space_of,
    steps,
)
from liveshelf.bench.parts.freshness import theirs as straightforward
from liveshelf.settings import load_settings


def measure(target: PipelineUnderTest, weights: Mapping[str, float], policy: FreshnessPolicy) -> None:
    load(target)
    most = capacity(target, weights, policy)
    print(f"\n{target.name}: {number(most)} changes a second are 100 % (a burst of {policy.burst:,}, unless given).\n")
    print("| load | rate | timed | p50 | p95 | p99 | max | not seen | poll | sender late |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for step in steps(target, weights, policy, most):
        print(row(step), flush=True)


def row(step: RateStep) -> str:
    took = (f"{step.quantile(percent):,.0f} ms" for percent in (50, 95, 99, 100))
    cells = (f"{step.percent} %", f"{number(step.rate)}/s", f"{len(step.ms):,}", *took, str(step.unseen))
    return f"| {' | '.join(cells)} | {step.poll_ms:.1f} ms | {step.late_ms:.0f} ms |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="a catalogue: parquet, JSON lines, or a folder of them")
    parser.add_argument("--mix", action="store_true", help="60 %% prices, 25 %% that change nothing, 15 %% new photos")
    parser.add_argument("--seconds", type=float, default=45.0, help="of each step")
    parser.add_argument("--pipeline", choices=("liveshelf", "straightforward", "both"), default="liveshelf")
    parser.add_argument("--rate", type=float, help="changes a second that are 100 %%, in place of what a burst says")
    parser.add_argument("--at", type=int, nargs="+", default=[25, 50, 80], help="percents of what it can take")
    parser.add_argument("--products", type=int, default=1500, help="products of the catalogue on the shelf")
    parser.add_argument("--burst", type=int, default=3000, help="changes of the burst")
    parser.add_argument("--url", help="gRPC address of a Qdrant server (default: an embedded engine)")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    policy = FreshnessPolicy(args.burst, args.seconds, args.at, args.rate, args.seed)
    weights = MIX if args.mix else CONTENT
    pipelines = ("liveshelf", "straightforward") if args.pipeline == "both" else (args.pipeline,)
    with open_shop(load_settings(), url=args.url, photos=args.path) as shop:
        space = asyncio.run(space_of(shop.settings))
        for name in pipelines:
            patches, start = name == "liveshelf", ours if name == "liveshelf" else straightforward
            rng = random.Random(args.seed)
            with start(
                shop, space, EventGenerator(products(args.path, args.products), rng=rng, patches=patches)
            ) as target:
                measure(target, weights, policy)
    print(
        f"\nThe reader rests {1000 * POLL_S:.0f} ms, or {REST} times as long as the answer took, after each answer; "
        f"`poll` is the mean time of an answer."
    )


if __name__ == "__main__":
    main()
