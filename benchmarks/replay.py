"""The topic again from its start, by another group: no forward, and how fast beside the encoder alone.

    python -m benchmarks.replay PATH [--items N] [--url QDRANT]

A worker in this process reads it, so that the forwards of its encoder can be counted.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.shop import open_shop, table
from liveshelf.bench.parts.replay import measure_replay
from liveshelf.settings import load_settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--items", type=int, default=2000, help="products that are loaded first")
    parser.add_argument("--url", help="gRPC address of a Qdrant server (default: an embedded engine)")
    args = parser.parse_args()
    with open_shop(load_settings(), url=args.url, photos=args.path) as shop:
        figures = measure_replay(shop, args.path, items=args.items)
    print(table(figures))


if __name__ == "__main__":
    main()
