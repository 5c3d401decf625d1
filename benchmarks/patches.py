"""Price patches end to end through Kafka, beside the encoder alone.

    python -m benchmarks.patches PATH [--items N] [--events M] [--url QDRANT]

The CPU time an event costs each process is shown with it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.shop import open_shop, table
from liveshelf.bench.parts.patches import measure_patches
from liveshelf.settings import load_settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--items", type=int, default=2000, help="products that are loaded first")
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--url", help="gRPC address of a Qdrant server (default: an embedded engine)")
    args = parser.parse_args()
    with open_shop(load_settings(), url=args.url, photos=args.path) as shop:
        figures = measure_patches(shop, args.path, items=args.items, events=args.events)
    print(table(figures))


if __name__ == "__main__":
    main()
