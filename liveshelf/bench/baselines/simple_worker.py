"""Runs the baseline pipeline on a shop's broker and index, with its own topic, group and collection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from embedded.child_process import ChildProcess
from liveshelf.bench.harness.shop import Shop
from liveshelf.settings import Settings
from liveshelf.wiring.kafka import kafka_of, topics_of
from streams.topics import create_topics

BASELINE = "straightforward"


@contextmanager
def straightforward(shop: Shop) -> Iterator[tuple[Settings, ChildProcess]]:
    """Yields the baseline's settings and its ready process. Raises FatalError if it does not start."""
    name = f"{shop.settings.live_topic}-{BASELINE}"
    ready = shop.folder / f"{BASELINE}.ready"
    overrides = {
        "live_topic": name,
        "kafka_group_id": name,
        "collection": f"{shop.settings.collection}--{BASELINE}",
        "ready_file": ready,
    }
    settings = shop.settings.model_copy(update=overrides)
    create_topics(kafka_of(settings), replace(topics_of(settings), live=name))
    with shop.child(
        BASELINE, "-m", "liveshelf.bench.baselines.simple_pipeline", ready=ready, settings=settings
    ) as child:
        yield settings, child
