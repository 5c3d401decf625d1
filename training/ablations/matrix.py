"""The rows of the ablation table, and how one of them is run.

Each row is a recipe that differs from its base row in what it is named after. All rows are trained with the same data
and steps on a synthetic log, each from several seeds, and measured on the products and queries of the test.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from catalog.errors import InvalidInput
from training.ablations.table import Result, read_results
from training.data.splits import SplitPolicy
from training.synthetic.files import write
from training.synthetic.generate import SyntheticPolicy, read_shop


@dataclass(frozen=True, slots=True)
class AblationRow:
    """Changes to `recipes/ablation.toml`, the row to compare with, and the number of processes."""

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
    """The catalogue, the output folder, the rows and seeds to run, and changes to every row's recipe."""

    catalogue: Path
    out: Path
    rows: tuple[AblationRow, ...] = ROWS
    seeds: tuple[int, ...] = (0, 1, 2)
    changes: tuple[str, ...] = ()

    @property
    def log(self) -> Path:
        return self.out / "log"

    def missing(self) -> Iterator[tuple[AblationRow, int]]:
        """The runs without a result; all rows with the first seed come first."""
        for seed in self.seeds:
            for row in self.rows:
                done = {(result.row, result.seed) for result in read_results(self.out)}
                if (row.name, seed) not in done:
                    yield row, seed


def run(plan: AblationPlan, row: AblationRow, seed: int) -> Result:
    """Train and measure one row from one seed, in separate processes. Raises InvalidInput if they fail."""
    folder = plan.out / "runs" / f"{row.name.replace(' ', '-')}-{seed}"
    command = [sys.executable, "-m", "training.ablations.run", str(plan.catalogue), str(plan.log), str(folder)]
    if row.processes > 1:
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(row.processes)]
        command[1:2] = [*torchrun, "-m"]
    for change in (*plan.changes, *row.changes, f"seed={seed}"):
        command += ["--set", change]
    folder.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with (folder / "output.txt").open("w") as output:
        # One thread each: on two busy cores, threads that wait for each other lose more time than they gain.
        single = ["/usr/bin/env", "OMP_NUM_THREADS=1"]
        process = subprocess.run([*single, *command], stdout=output, stderr=output)  # noqa: S603 -- our own command
    if process.returncode:
        raise InvalidInput(f"{row.name} from seed {seed} failed: see {folder / 'output.txt'}.")
    figures = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    return Result(row.name, row.base, seed, figures, seconds=round(time.monotonic() - start))


def draw_log(plan: AblationPlan) -> None:
    """Generate the synthetic log of the catalogue, unless it exists."""
    if (plan.log / "synthetic.json").exists():
        return
    split = SplitPolicy()
    write(read_shop(plan.catalogue, split), plan.log, SyntheticPolicy(), split)
