"""A worker as a process: `python -m tests.integration.streaming_child BOOTSTRAP GROUP MEMBER TOPIC BEHAVIOUR`.

The behaviour is steady, fatal or hanging. At its end it prints the written records, as JSON pairs of partition and
offset.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
from dataclasses import replace

from catalog.domain.record import Record
from catalog.errors import FatalError
from streams.config import KafkaConfig, StallPolicy
from streams.pipeline.pipeline import Pipeline
from streams.worker.worker import Worker, run_worker
from tests.integration.streaming import POLICY
from tests.streams.stages import RecordingStages


class Hanging(RecordingStages):
    """A device that never answers, in a thread that cannot be cancelled."""

    async def encode(self, batch: list[Record]) -> None:
        await asyncio.to_thread(threading.Event().wait)


async def main() -> int:
    bootstrap, group, member, topic, behaviour = sys.argv[1:]
    fatal = behaviour == "fatal"
    kind = Hanging if behaviour == "hanging" else RecordingStages
    stages = kind(
        seconds=0.05,
        trouble=lambda stage, batch: FatalError("the device is lost") if fatal and stage == "encode" else None,
    )
    lane = Pipeline(stages, lane="live", batch=POLICY.batch, retry=POLICY.retry)
    policy = replace(POLICY, leave_s=3)
    if behaviour == "hanging":
        policy = replace(policy, stall=StallPolicy(seconds=1.0, look_every_s=0.1))
    code = await run_worker(
        Worker(KafkaConfig(bootstrap, group=group, member=member or None), {topic: lane}, policy=policy)
    )
    sys.stdout.write(json.dumps([(record.partition, record.offset) for record in stages.written]) + "\n")
    return code


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    sys.exit(asyncio.run(main()))
