"""The straightforward pipeline beside a shop: a topic, a group and a collection of its own on the same parts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from embedded.child_process import ChildProcess
from liveshelf.bench.harness.shop import Shop
from liveshelf.settings import Settings
from liveshelf.wiring.kafka import kafka_of, topics_of
from streams.topics import create_topics

STRAIGHT = "straightforward"


@contextmanager
def straightforward(shop: Shop) -> Iterator[tuple[Settings, ChildProcess]]:
    """The pipeline's settings and its process, ready. Raises Hopeless where it does not start."""
    name = f"{shop.settings.live_topic}-{STRAIGHT}"
    ready = shop.folder / f"{STRAIGHT}.ready"
    told = {
        "live_topic": name,
        "kafka_group_id": name,
        "collection": f"{shop.settings.collection}--{STRAIGHT}",
        "ready_file": ready,
    }
    settings = shop.settings.model_copy(update=told)
    create_topics(kafka_of(settings), replace(topics_of(settings), live=name))
    with shop.child(
        STRAIGHT, "-m", "liveshelf.bench.baselines.simple_pipeline", ready=ready, settings=settings
    ) as child:
        yield settings, child
