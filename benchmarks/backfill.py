"""Back-fill rate from Kafka into the index, compared with the encoder alone on the same products in the same run.

    python -m benchmarks.backfill PATH [--limit N] [--bare N] [--workers W] [--url QDRANT]

Starts its own broker, engine and workers in a temporary folder and prints a table:

- items a second of the whole path;
- items a second of the encoder alone, before and after (the same model and photos, batch after batch in one process,
  no Kafka, no index), and the ratio of the two rates;
- the number of products sent and the number that are right in the index;
- peak memory and CPU time of each process.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from liveshelf.bench.harness.figures import table
from liveshelf.bench.harness.shop import open_shop
from liveshelf.bench.parts.ingest import measure_ingest
from liveshelf.settings import load_settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--limit", type=int, help="products to send at most")
    parser.add_argument("--bare", type=int, default=3000, help="products for the encoder alone, each time")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--url", help="gRPC address of a Qdrant server (default: an embedded engine)")
    args = parser.parse_args()
    with open_shop(load_settings(), url=args.url, photos=args.path) as shop:
        figures = measure_ingest(shop, args.path, items=args.limit, bare=args.bare, workers=args.workers)
    print(table(figures))


if __name__ == "__main__":
    main()
