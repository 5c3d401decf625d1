"""Measure the effect of each part of the method: `python -m training.ablations CATALOGUE --out DIR` (`make ablations`).

A run whose result exists is skipped, so the command may be stopped and started again at any time.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from catalog.errors import InvalidInput
from training.ablations.matrix import ROWS, AblationPlan, draw_log, run
from training.ablations.table import RESULTS, read_results, table


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.ablations", description=__doc__)
    parser.add_argument("catalogue", type=Path, help="a parquet or JSONL file, or a folder of them, with photos")
    parser.add_argument("--out", type=Path, required=True, help="the folder for the log, the runs and the results")
    parser.add_argument("--rows", help="run only these rows, by name, separated by commas")
    parser.add_argument("--seeds", type=int, default=3, help="the number of seeds (%(default)s)")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE", help="in every row")
    parser.add_argument("--table", action="store_true", help="run nothing: print the table of the existing results")
    options = parser.parse_args(arguments)
    chosen = options.rows.split(",") if options.rows else [row.name for row in ROWS]
    plan = AblationPlan(
        options.catalogue, options.out, tuple(row for row in ROWS if row.name in chosen), tuple(range(options.seeds)),
        tuple(options.changes),
    )  # fmt: skip
    if not options.table:
        plan.out.mkdir(parents=True, exist_ok=True)
        draw_log(plan)
        for row, seed in plan.missing():
            print(f"{row.name}, seed {seed}", file=sys.stderr, flush=True)  # noqa: T201
            result = run(plan, row, seed)
            with (plan.out / RESULTS).open("a", encoding="utf-8") as file:
                file.write(result.json() + "\n")
    sys.stdout.write(table(read_results(plan.out), [row.name for row in ROWS]))


if __name__ == "__main__":
    try:
        main()
    except InvalidInput as error:
        sys.exit(str(error))
