"""What each part of the method is worth: `python -m training.ablations.matrix CATALOGUE --out DIR` (`make ablations`).

Every row of the table is a recipe that differs from another in what the row is named after, trained from several seeds
with the same data and steps on a synthetic log, and measured on the products and queries of the test. A run whose
result is there is not run again, so the command may be stopped and given again at any time.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from catalog.errors import InvalidInput
from training.ablations.table import RESULTS, Result, read_results, table


@dataclass(frozen=True, slots=True)
class AblationRow:
    """A recipe by its changes to `recipes/ablation.toml`, the row it is compared with, and its processes."""

    name: str
    base: str = ""
    changes: tuple[str, ...] = ()
    processes: int = 1


_MPM_R = ("tasks.mpm_r_patch=0.2", "tasks.mpm_r_image=0.2")
ROWS = (
    AblationRow("none"),
    AblationRow("MPM", "none", ("tasks.mpm=0.2",)),
    AblationRow("MPM_R patch", "none", _MPM_R[:1]),
    AblationRow("MPM_R image", "none", _MPM_R[1:]),
    AblationRow("MPM_R both", "none", _MPM_R),
    AblationRow("MLM", "none", ("tasks.mlm=0.1",)),
    AblationRow("QIM", "none", ("tasks.qim=0.2",)),
    AblationRow("QIM + QIM2", "none", ("tasks.qim=0.2", "tasks.qim2=0.2")),
    AblationRow("softmax", "none", ("tasks.loss=softmax",)),
    AblationRow("sigmoid", "none", ("tasks.loss=sigmoid",)),
    AblationRow("MBNS 512", "none", ("negatives.bank=512",)),
    AblationRow("MBNS 4096", "none", ("negatives.bank=4096",)),
    AblationRow(
        "MBNS 4096 + momentum", "none", ("negatives.bank=4096", "negatives.bank_momentum=true", "optim.ema=0.95")
    ),
    AblationRow("CDNS 2", "no CDNS 2", (), 2),
    AblationRow("no CDNS 2", "none", ("negatives.across=false",), 2),
    AblationRow("CDNS 4", "no CDNS 4", (), 4),
    AblationRow("no CDNS 4", "none", ("negatives.across=false",), 4),
    AblationRow("all", "none", ("tasks.mlm=0.1", *_MPM_R, "tasks.qim=0.2", "tasks.qim2=0.2", "negatives.bank=4096"), 2),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class AblationPlan:
    """Where the catalogue and the results are, which rows from which seeds, and changes to every row's recipe."""

    catalogue: Path
    out: Path
    rows: tuple[AblationRow, ...] = ROWS
    seeds: tuple[int, ...] = (0, 1, 2)
    changes: tuple[str, ...] = ()

    @property
    def log(self) -> Path:
        return self.out / "log"

    def missing(self) -> Iterator[tuple[AblationRow, int]]:
        """The runs whose result is not there, every row from the first seed first."""
        for seed in self.seeds:
            for row in self.rows:
                done = {(one.row, one.seed) for one in read_results(self.out)}
                if (row.name, seed) not in done:
                    yield row, seed


def run(plan: AblationPlan, row: AblationRow, seed: int) -> Result:
    """Train and measure one row from one seed, in processes of their own. Raises InvalidInput where they fail."""
    folder = plan.out / "runs" / f"{row.name.replace(' ', '-')}-{seed}"
    command = [sys.executable, "-m", "training.ablations.run", str(plan.catalogue), str(plan.log), str(folder)]
    if row.processes > 1:
        several = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(row.processes)]
        command[1:2] = [*several, "-m"]
    for change in (*plan.changes, *row.changes, f"seed={seed}"):
        command += ["--set", change]
    folder.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with (folder / "output.txt").open("w") as output:
        # Waiting threads sleep: on a busy machine those that spin take what the others wait for.
        # One thread each: on two cores with other work too, threads that wait for each other lose more than they gain.
        single = ["/usr/bin/env", "OMP_NUM_THREADS=1"]
        told = subprocess.run([*single, *command], stdout=output, stderr=output)  # noqa: S603 -- our own command
    if told.returncode:
        raise InvalidInput(f"{row.name} from seed {seed} failed: see {folder / 'output.txt'}.")
    figures = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    return Result(row.name, row.base, seed, figures, seconds=round(time.monotonic() - start))


def draw_log(plan: AblationPlan) -> None:
    """The synthetic log of the catalogue, unless it is there."""
    if (plan.log / "synthetic.json").exists():
        return
    from training.data.splits import SplitPolicy
    from training.synthetic.files import write
    from training.synthetic.generate import SyntheticPolicy, shop

    split = SplitPolicy()
    write(shop(plan.catalogue, split), plan.log, SyntheticPolicy(), split)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.ablations.matrix", description=__doc__)
    parser.add_argument("catalogue", type=Path, help="a parquet or JSONL file, or a folder of them, with photos")
    parser.add_argument("--out", type=Path, required=True, help="the folder for the log, the runs and the results")
    parser.add_argument("--rows", help="only these rows, by name, with commas between them")
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds (%(default)s)")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE", help="in every row")
    parser.add_argument("--table", action="store_true", help="run nothing: print the table of what is there")
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
