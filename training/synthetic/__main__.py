"""Generate a synthetic query log from a catalogue: `python -m training.synthetic CATALOGUE --out DIR`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from catalog.errors import InvalidInput
from training.data.splits import PARTS, SplitPolicy
from training.synthetic.files import write
from training.synthetic.generate import SyntheticPolicy, read_shop


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.synthetic", description=__doc__)
    parser.add_argument("catalogue", type=Path, help="a parquet or JSONL file, or a folder of them")
    parser.add_argument("--out", type=Path, required=True, help="the folder for logs and judgements")
    parser.add_argument("--seed", type=int, default=0, help="the seed of the queries and of the split")
    parser.add_argument("--each", type=float, default=SyntheticPolicy().each, help="interactions for each product")
    parser.add_argument("--format", choices=("parquet", "jsonl"), default="parquet", help="the format of the logs")
    options = parser.parse_args(arguments)
    policy = SyntheticPolicy(each=options.each, seed=options.seed)
    split = SplitPolicy(seed=options.seed)
    try:
        counts = write(read_shop(options.catalogue, split), options.out, policy, split, suffix=options.format)
    except InvalidInput as error:
        parser.error(str(error))
    for part in PARTS:
        figures = ", ".join(f"{name} {count}" for name, count in counts[part].items())
        sys.stdout.write(f"synthetic {part}: {figures}\n")


if __name__ == "__main__":
    main()
