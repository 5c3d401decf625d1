"""Simulates whether a forward should wait until more products are ready.

    python -m benchmarks.batch_wait_simulation [--rate 148] [--others 1.0] [--forward 4] [--product 5]

Products arrive at random times. Two concurrent forwards encode them, on the share of two cores that other work leaves.
The other work's share varies by up to 60 %. A forward costs `--forward` ms, and `--product` ms for each product.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

LARGEST = 32
PREPARED_MS = 10  # from a product's arrival until it waits for a forward; later arrivals join it


@dataclass(frozen=True, slots=True)
class Rule:
    """The second forward starts when `second` products wait. `hold_ms`: a batch below `hold` waits longer."""

    name: str
    second: int = 1
    hold_ms: int = 0
    hold: int = 8


RULES = (
    Rule("a forward takes all waiting products"),
    *(Rule(f"the second forward only if {n} wait", second=n) for n in (4, 8, 16)),
    *(Rule(f"up to {ms} ms of waiting for 8", hold_ms=ms) for ms in (10, 30)),
)


@dataclass(slots=True)
class Forward:
    left_ms: float
    came: list[float]


@dataclass(slots=True)
class Encoder:
    rule: Rule
    forward_ms: float
    product_ms: float
    waiting: list[float] = field(default_factory=list)
    running: list[Forward] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    def begin(self, now: int) -> None:
        while len(self.running) < 2 and self.waiting:
            few = len(self.waiting) < self.rule.hold and now - self.waiting[0] < PREPARED_MS + self.rule.hold_ms
            if (self.running and len(self.waiting) < self.rule.second) or (self.rule.hold_ms and few):
                return
            came, self.waiting = self.waiting[:LARGEST], self.waiting[LARGEST:]
            self.running.append(Forward(self.forward_ms + self.product_ms * len(came), came))
            self.sizes.append(len(came))

    def work(self, cores: float) -> list[float]:
        """Advances by one millisecond. Returns the arrival times of the products that are done."""
        share = min(1.0, cores / len(self.running)) if self.running else 0.0
        for forward in self.running:
            forward.left_ms -= share
        done = [came for forward in self.running if forward.left_ms <= 0 for came in forward.came]
        self.running = [forward for forward in self.running if forward.left_ms > 0]
        return done


def arrivals(rng: random.Random, rate: float) -> Iterator[float]:
    now = 0.0
    while True:
        now += rng.expovariate(rate) * 1000
        yield now


def simulate(encoder: Encoder, options: argparse.Namespace) -> list[float]:
    """The sorted latencies in milliseconds, without the first tenth of the products."""
    rng = random.Random(options.seed)
    coming, preparing, took = arrivals(rng, options.rate), [], []
    backlog, others, following = 0.0, options.others, next(coming)
    for now in range(options.seconds * 1000):
        while following <= now:
            preparing.append(following)
            backlog += options.loop
            following = next(coming)
        if preparing and now - preparing[0] >= PREPARED_MS:
            encoder.waiting += preparing
            preparing = []
        encoder.begin(now)
        if now % 50 == 0:
            others = options.others * rng.uniform(0.4, 1.6)
        looped = min(backlog, 1.0, 2 - others)
        backlog -= looped
        took += [now - came for came in encoder.work(2 - others - looped)]
    return sorted(took[len(took) // 10 :])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=148.0, help="products a second")
    parser.add_argument("--others", type=float, default=1.0, help="cores that other work uses")
    parser.add_argument("--loop", type=float, default=1.1, help="ms of CPU a product outside its forward")
    parser.add_argument("--forward", type=float, default=4.0)
    parser.add_argument("--product", type=float, default=5.0)
    parser.add_argument("--seconds", type=int, default=240)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print("| rule | p50 | p99 | in a forward |\n|---|---:|---:|---:|")
    for rule in RULES:
        encoder = Encoder(rule, options.forward, options.product)
        took = simulate(encoder, options)
        p50, p99 = (took[int(share * len(took))] for share in (0.5, 0.99))
        print(f"| {rule.name} | {p50:.0f} ms | {p99:.0f} ms | {sum(encoder.sizes) / len(encoder.sizes):.1f} |")


if __name__ == "__main__":
    main()
