"""Exports on disk: the vectors are right also if one is damaged or stale, or its runtime fails."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from encoders.runtime import RuntimePolicy
from encoders.runtime.exports import KEPT_DAYS, from_export
from encoders.runtime.prepare import TowerLoader
from encoders.runtime.torch_eager import TorchTower
from encoders.runtime.tower import Tower, TowerError, TowerPlan

GIVEN = np.arange(6.0, dtype=np.float32).reshape(2, 3) + 1


Rows = NDArray[np.float32]


class Doubled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


class Pickled:
    """A runtime whose export is one byte, the factor of the tower."""

    version = says = "Pickled 1"

    def __init__(self) -> None:
        self.exported = 0
        self.run: Callable[[Rows], Rows] = lambda x: 2 * x

    def export(self, plan: TowerPlan, folder: Path) -> None:
        self.exported += 1
        (folder / "tower").write_bytes(b"2")

    def load(self, folder: Path) -> Tower:
        if (folder / "tower").read_bytes() != b"2":
            raise TowerError("it is no tower")
        return lambda x: self.run(x)


def plan(**changes: object) -> TowerPlan:
    plan = TowerPlan(name="doubled", weights="w", code="c", reference=Doubled().to, example=(GIVEN,), shapes=((-1, 3),))
    return replace(plan, **changes)  # type: ignore[arg-type]


def only(folder: Path) -> Path:
    (only_export,) = folder.iterdir()
    return only_export


def test_an_export_is_made_once(tmp_path: Path) -> None:
    runtime = Pickled()
    for _ in range(2):
        assert np.array_equal(from_export(plan(), runtime, tmp_path)(GIVEN), 2 * GIVEN)
    assert runtime.exported == 1


@pytest.mark.parametrize("change", [{"weights": "other"}, {"code": "other"}, {"shapes": ((-1, -1),)}])
def test_other_weights_code_or_shapes_have_an_export_of_their_own(tmp_path: Path, change: dict[str, object]) -> None:
    runtime = Pickled()
    from_export(plan(), runtime, tmp_path)
    from_export(plan(**change), runtime, tmp_path)
    assert runtime.exported == 2


def test_another_version_of_the_runtime_has_an_export_of_its_own(tmp_path: Path) -> None:
    old, new = Pickled(), Pickled()
    new.version = "Pickled 2"
    from_export(plan(), old, tmp_path)
    from_export(plan(), new, tmp_path)
    assert new.exported == 1


@pytest.mark.parametrize("name", ["tower", "export.json", "example.safetensors"])
@pytest.mark.parametrize("harm", [lambda path: path.unlink(), lambda path: path.write_bytes(b"{}")])
def test_a_damaged_export_is_made_anew(
    tmp_path: Path, name: str, harm: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    runtime = Pickled()
    from_export(plan(), runtime, tmp_path)
    harm(only(tmp_path) / name)
    assert np.array_equal(from_export(plan(), runtime, tmp_path)(GIVEN), 2 * GIVEN)
    assert runtime.exported == 2
    from_export(plan(), runtime, tmp_path)
    assert runtime.exported == 2, "and is whole again"


def test_a_runtime_that_computes_something_else_is_not_used(tmp_path: Path) -> None:
    runtime = Pickled()
    from_export(plan(), runtime, tmp_path)
    runtime.run = lambda x: x[:, ::-1]
    with pytest.raises(TowerError, match="cosine"):
        from_export(plan(), runtime, tmp_path)
    runtime.run = lambda x: x * float("nan")
    with pytest.raises(TowerError, match="cosine"):
        from_export(plan(), runtime, tmp_path)


def test_where_nothing_can_be_kept_it_is_made_each_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_bytes(b"")
    runtime = Pickled()
    for _ in range(2):
        assert np.array_equal(from_export(plan(), runtime, tmp_path / "file")(GIVEN), 2 * GIVEN)
    assert runtime.exported == 2
    assert "at each start" in caplog.text


def test_exports_that_nobody_uses_are_deleted_in_time(tmp_path: Path) -> None:
    runtime = Pickled()
    from_export(plan(), runtime, tmp_path)
    old = only(tmp_path)
    before = old.stat().st_mtime - (KEPT_DAYS + 1) * 86_400
    os.utime(old, (before, before))
    from_export(plan(weights="other"), runtime, tmp_path)
    assert old not in tmp_path.iterdir()


def workshop(runtime: Pickled, folder: Path | None) -> TowerLoader:
    return TowerLoader(RuntimePolicy("openvino", folder), "cpu", "float32", make=lambda *_: runtime)


def test_torch_runs_a_tower_that_its_runtime_fails_on_from_then_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runtime, references = Pickled(), list[str]()

    def reference(precision: torch.dtype) -> nn.Module:
        references.append("torch")
        return Doubled()

    tower = workshop(runtime, tmp_path).tower(plan(reference=reference))
    references.clear()
    assert np.array_equal(tower(GIVEN), 2 * GIVEN)
    assert not references

    def fails(x: Rows) -> Rows:
        raise TowerError("no such instruction")

    runtime.run = fails
    assert np.array_equal(tower(GIVEN), 2 * GIVEN)
    runtime.run = lambda x: 3 * x
    assert np.array_equal(tower(GIVEN), 2 * GIVEN)
    assert references == ["torch"]
    assert caplog.text.count("no such instruction") == 1


def test_torch_runs_a_tower_that_cannot_be_prepared(caplog: pytest.LogCaptureFixture) -> None:
    runtime = Pickled()
    runtime.run = lambda x: -x
    shop = workshop(runtime, None)
    assert np.array_equal(shop.tower(plan())(GIVEN), 2 * GIVEN)
    assert "torch runs it" in shop.says
    assert "cosine" in caplog.text


def test_a_runtime_that_is_not_there_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    def missing(*_: object) -> Pickled:
        raise TowerError("openvino is not installed")

    shop = TowerLoader(RuntimePolicy(), "cpu", "float32", make=missing)
    assert isinstance(shop.tower(plan()), TorchTower)
    assert "openvino is not installed" in shop.says
    assert "openvino is not installed" in caplog.text


@pytest.mark.parametrize(
    ("policy", "device"), [(None, "cpu"), (RuntimePolicy("torch"), "cpu"), (RuntimePolicy(), "meta")]
)
def test_torch_runs_what_is_not_for_a_runtime(policy: RuntimePolicy | None, device: str) -> None:
    shop = TowerLoader(policy, device, "float32")
    assert isinstance(shop.tower(plan()), TorchTower)
    assert shop.says == "torch runs it in float32"
