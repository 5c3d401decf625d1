from __future__ import annotations

from pathlib import Path

from training.ablations.matrix import ROWS, AblationPlan
from training.ablations.table import RESULTS, Result, mean_with_interval, read_results, table


def test_the_table_has_differences_to_the_base_paired_by_seed() -> None:
    results = [Result("none", "", seed, {"whole": 0.5 + 0.1 * seed}, 1.0) for seed in range(3)]
    results += [Result("MPM", "none", seed, {"whole": 0.52 + 0.1 * seed}, 1.0) for seed in range(2)]
    lines = table(results, ["none", "MPM", "MLM"]).splitlines()
    assert len(lines) == 4
    assert lines[2].startswith("| none | 3 | 0.600 ± 0.248 |  |")
    assert lines[3].startswith("| MPM | 2 | 0.570 ± 0.635 | +0.020 ± 0.000 | none")


def test_intervals_are_by_students_t() -> None:
    assert mean_with_interval([1.0, 2.0, 3.0]) == "2.000 ± 2.484"
    assert mean_with_interval([1.0]) == "1.000"


def test_only_runs_without_a_result_are_missing(tmp_path: Path) -> None:
    plan = AblationPlan(tmp_path / "shop", tmp_path, seeds=(0, 1))
    assert len(list(plan.missing())) == 2 * len(ROWS)
    (tmp_path / RESULTS).write_text(Result("MPM", "none", 1, {"whole": 0.1}, 2.0).json() + "\n")
    assert read_results(tmp_path)[0].figures == {"whole": 0.1}
    assert ("MPM", 1) not in [(row.name, seed) for row, seed in plan.missing()]


def test_every_row_has_a_unique_name_and_an_existing_base() -> None:
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names)
    assert {row.base for row in ROWS} - {""} <= set(names)


def test_only_equal_seeds_are_paired() -> None:
    results = [Result("none", "", 1, {"whole": 0.5}, 1.0), Result("MPM", "none", 2, {"whole": 0.9}, 1.0)]
    assert table(results, ["none", "MPM"]).splitlines()[3].split(" | ")[3] == ""
