"""Activation ranges, as `python -m training.int8_calibration` records them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from encoders.runtime.int8 import RANGES
from liveshelf import sample
from training.int8_calibration import main


def test_the_command_writes_the_ranges_of_every_layer_that_ships_with_them(tmp_path: Path) -> None:
    sample.draw(tmp_path / "shop", count=12)
    main([str(tmp_path / "shop"), "--out", str(tmp_path / "ranges.safetensors"), "--count", "3"])
    ranges, shipped = load_file(tmp_path / "ranges.safetensors"), load_file(RANGES)
    assert {name: both.shape for name, both in ranges.items()} == {name: both.shape for name, both in shipped.items()}
    for name, (low, high) in ranges.items():
        assert torch.all(low <= high), name
    # The output of a ReLU6 is between 0 and 6.
    low, high = ranges["image.stages.4.0.project"]
    assert low.min() >= 0
    assert 0 < high.max() <= 6


def test_a_missing_catalogue_is_reported_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([str(tmp_path / "nowhere")])
    assert "There is no catalogue at" in capsys.readouterr().err
