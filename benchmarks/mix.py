"""A shop's day through Kafka: prices, products sent again and new content, beside the straightforward pipeline.

    python -m benchmarks.mix PATH [--items N] [--events M] [--workers W] [--only liveshelf] [--url QDRANT]

Both get the same changes in the same run, the straightforward pipeline half of them before and half after, as whole
products, for it knows no patch. At the end every product's title and price in the index are held against the events.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.shop import open_shop, table
from liveshelf.bench.parts.mix import measure_mix
from liveshelf.settings import load_settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--items", type=int, default=2000, help="products that are loaded first")
    parser.add_argument("--events", type=int, default=4000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--only", choices=["liveshelf"], help="without the straightforward pipeline")
    parser.add_argument("--url", help="gRPC address of a Qdrant server (default: an embedded engine)")
    args = parser.parse_args()
    with open_shop(load_settings(), url=args.url, photos=args.path) as shop:
        figures = measure_mix(
            shop, args.path, items=args.items, events=args.events, workers=args.workers, straight=not args.only
        )
    print(table(figures))


if __name__ == "__main__":
    main()
