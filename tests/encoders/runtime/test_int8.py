"""The backbones in 8 bits: close to float32, and computed in int8 if the processor supports it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from encoders.models.late_fusion import Backbones
from encoders.models.load import BUILTIN
from encoders.models.single_stream import SingleStreamModel
from encoders.runtime import RuntimePolicy
from encoders.runtime.int8 import RANGES, computes_in_int8, in_int8
from encoders.runtime.int8_layers import round_layers, rounded
from encoders.runtime.plans import grid_plan, text_plan
from encoders.runtime.policy import PrecisionSetting
from encoders.runtime.prepare import TowerLoader
from encoders.towers.backbones import image_tower, text_tower
from tests.encoders.runtime.test_contract import products


@pytest.fixture(scope="module")
def backbones() -> Backbones:
    return Backbones(torch.device("cpu"), torch.float32)


def cosines(computed: Tensor, reference: Tensor) -> Tensor:
    return torch.cosine_similarity(computed.flatten(1), reference.flatten(1))


def test_rounded_layers_make_nearly_the_same_features(backbones: Backbones) -> None:
    batch = products(SingleStreamModel(BUILTIN, name="builtin:small", precision="float32"))
    photos = torch.from_numpy(np.stack([inputs.pixels for inputs in batch if inputs.pixels is not None]))
    words, _, lite0 = backbones.files
    ids = torch.tensor([inputs.tokens for inputs in batch if len(inputs.tokens) == 4])
    seen = torch.ones_like(ids, dtype=torch.bool)
    with torch.inference_mode():
        seeing, reading = rounded(image_tower(lite0), RANGES), rounded(text_tower(words), RANGES)
        assert cosines(seeing(photos), image_tower(lite0)(photos)).min() > 0.995
        assert cosines(reading(ids, seen), text_tower(words)(ids, seen)).min() > 0.995


def test_a_channel_that_calibration_never_saw_is_not_cut_off() -> None:
    plain, x = nn.Linear(4, 3), torch.tensor([[1.0, -2.0, 3.0, 0.5]])
    tower = nn.Sequential(plain)
    expected = plain(x)
    round_layers(tower, {"0": torch.tensor([[-2.0, -2.0, 0.0, 0.0], [2.0, 2.0, 3.0, 0.0]])})
    torch.testing.assert_close(tower(x), expected, atol=0.05, rtol=0.05)


def test_a_plan_in_8_bits_is_another(backbones: Backbones) -> None:
    plan = text_plan(backbones.files[0])
    other = in_int8(plan)
    assert (other.name, other.weights) == ("text-6-int8", plan.weights)
    assert other.code != plan.code


def test_only_backbones_as_they_came_are_rounded(backbones: Backbones) -> None:
    words, _, lite0 = backbones.files
    assert text_plan(words).frozen
    assert grid_plan(lite0, 128).frozen
    assert not grid_plan(BUILTIN, 128, own=True).frozen


@pytest.mark.parametrize("precision", ["auto", "bfloat16", "float32", "int8"])
def test_without_a_runtime_torch_serves_in_floats(precision: PrecisionSetting) -> None:
    policy = RuntimePolicy("torch", precision=precision)
    served = SingleStreamModel(BUILTIN, name="builtin:small", runtime=policy)
    assert "int8" not in served.runs
    assert precision != "float32" or served.runs == "torch runs it in float32"


def test_auto_is_int8_where_the_processor_and_the_runtime_compute_in_it(tmp_path: Path) -> None:
    policies = [RuntimePolicy("openvino", tmp_path, threads=1, precision=setting) for setting in ("auto", "bfloat16")]
    fastest, floats = (TowerLoader(policy, "cpu").says for policy in policies)
    assert fastest.endswith("and int8") == computes_in_int8()
    assert "int8" not in floats


@pytest.mark.skipif(not computes_in_int8(), reason="this processor has no 8-bit products")
def test_the_layers_that_are_rounded_run_in_int8(tmp_path: Path, backbones: Backbones) -> None:
    import openvino

    policy = RuntimePolicy("openvino", tmp_path, forwards=1, threads=1, precision="int8")
    plan = text_plan(backbones.files[0])
    TowerLoader(policy, "cpu", "float32").tower(plan)
    (folder,) = tmp_path.iterdir()
    compiled = openvino.Core().compile_model(folder / "tower.xml", "CPU")
    ran = [node.get_rt_info() for node in compiled.get_runtime_model().get_ordered_ops()]
    linear = [
        str(info["runtimePrecision"].astype(str)) for info in ran if "Fully" in str(info["layerType"].astype(str))
    ]
    assert len(linear) == 24
    assert set(linear) <= {"u8", "i8"}
