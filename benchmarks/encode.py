"""Start, memory, throughput and latency of a model, exported and in torch by turns: `python -m benchmarks.encode`."""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

BEGUN = time.perf_counter()
ROUNDS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("catalogue", type=Path, help="as `liveshelf backfill` reads it")
    parser.add_argument("--items", type=int, default=1024)
    parser.add_argument("--model", default="builtin:small")
    parser.add_argument(
        "--start", choices=("auto", "torch"), help="only start an encoder, and print the time and memory it took"
    )
    options = parser.parse_args()
    if options.start:
        asyncio.run(start(options.model, options.start))
        return
    from liveshelf.bench.harness.figures import Figure, table
    from liveshelf.bench.parts.encode import measure_encode
    from liveshelf.settings import load_settings

    figures = []
    for _ in range(ROUNDS):
        for runtime in ("torch", "auto"):
            command = [sys.executable, "-m", "benchmarks.encode", ".", "--model", options.model, "--start", runtime]
            measured = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            figures.append(Figure(f"start to ready, {runtime}", measured["seconds"], "s"))
            figures.append(Figure(f"memory when ready, {runtime}", measured["mb"], "MB"))
    print(table(figures + measure_encode(load_settings(model=options.model), options.catalogue, items=options.items)))


async def start(model: str, runtime: str) -> None:
    import psutil

    from liveshelf.settings import load_settings
    from liveshelf.wiring.encoder import encoder_of

    async with encoder_of(load_settings(model=model, runtime=runtime)):
        mb = psutil.Process().memory_info().rss >> 20
        print(json.dumps({"seconds": time.perf_counter() - BEGUN, "mb": mb}))


if __name__ == "__main__":
    main()
