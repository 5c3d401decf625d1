"""A worker as a process: `python -m tests.integration.streaming_child BOOTSTRAP GROUP MEMBER TOPIC steady|hopeless`.

At its end it prints which records it wrote, as JSON pairs of partition and offset.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from dataclasses import replace

from catalog.errors import Hopeless
from streams.pipeline import Pipeline
from streams.policy import Kafka
from streams.worker import Worker, run_worker
from tests.integration.streaming import POLICY
from tests.streams.stages import RecordingStages


async def main() -> int:
    bootstrap, group, member, topic, behaviour = sys.argv[1:]
    hopeless = behaviour == "hopeless"
    stages = RecordingStages(
        seconds=0.05,
        trouble=lambda stage, batch: Hopeless("the device is lost") if hopeless and stage == "encode" else None,
    )
    lane = Pipeline(stages, lane="live", batch=POLICY.batch, retry=POLICY.retry)
    code = await run_worker(
        Worker(Kafka(bootstrap, group=group, member=member or None), {topic: lane}, policy=replace(POLICY, leave_s=3))
    )
    sys.stdout.write(json.dumps([(record.partition, record.offset) for record in stages.written]) + "\n")
    return code


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    sys.exit(asyncio.run(main()))
