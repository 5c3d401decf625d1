"""Where a product's time goes: fetch, decode, plan, forward, write, and the whole path beside.

    python -m benchmarks.stages PATH [--items N] [--url QDRANT]

The worker runs in this process, on its own broker and index.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.shop import open_shop, table
from liveshelf.bench.parts.stages import measure_stages
from liveshelf.settings import load_settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--items", type=int, default=1000, help="products that are loaded first")
    parser.add_argument("--url", help="gRPC address of a Qdrant server (default: an embedded engine)")
    args = parser.parse_args()
    with open_shop(load_settings(), url=args.url, photos=args.path) as shop:
        figures = measure_stages(shop, args.path, items=args.items)
    print(table(figures))


if __name__ == "__main__":
    main()
