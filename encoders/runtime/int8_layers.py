"""Layers of the frozen backbones in 8 bits, as torch writes them down for a runtime that computes so."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.towers.backbones import ImageTower, TextTower

# Of linear layers and of convolutions: the best of 0.4 to 0.9 for the cosine of vectors.
_LINEAR, _POINTWISE = 0.7, 0.5
_LEAST_REACH = 0.1
_LEVELS = 255
_MOST = 127  # of a weight, whose range is the same on either side of zero


def rounded(whole: nn.Module, ranges: Path) -> nn.Module:
    """The module, changed: the layers of its backbones that the file of `training.ranges` names are replaced."""
    known = load_file(ranges)
    for tower in [part for part in whole.modules() if isinstance(part, TextTower | ImageTower)]:
        kind = f"{kind_of(tower)}."
        round_layers(tower, {name.removeprefix(kind): found for name, found in known.items() if name.startswith(kind)})
    return whole


def kind_of(tower: TextTower | ImageTower) -> str:
    """What the names of its layers begin with in a file of ranges."""
    return "text" if isinstance(tower, TextTower) else "image"


def round_layers(tower: nn.Module, ranges: Mapping[str, Tensor]) -> None:
    """Replace the layers that are named, linear ones and pointwise convolutions.

    `ranges` has for each float (2, channels), the least and the most of every channel that goes in.
    """
    for name, (low, high) in ranges.items():
        layer = tower.get_submodule(name)
        plain = layer if isinstance(layer, nn.Linear) else layer.get_submodule("conv")
        tower.set_submodule(name, _Int8Layer(plain, low.float(), high.float()))


class _Int8Layer(nn.Module):
    """A layer whose weights and inputs are rounded to 8 bits: weights channel by channel, inputs all alike.

    So that inputs may be all alike, channels that reach far are made smaller and their weights larger, as SmoothQuant
    does: by a power of the input's reach, over what of one is left to the weights.
    """

    def __init__(self, layer: nn.Module, low: Tensor, high: Tensor) -> None:
        super().__init__()
        weight, self.bias = layer.get_parameter("weight").detach(), layer.get_parameter("bias")
        wide = weight.abs().flatten(2).amax((0, 2)) if weight.ndim > 2 else weight.abs().amax(0)
        reach = torch.maximum(-low, high)
        # A channel that calibration saw little of may reach further yet.
        reach = reach.clamp(min=_LEAST_REACH * float(reach.max()))
        power = _LINEAR if weight.ndim == 2 else _POINTWISE
        shares = reach**power / wide.clamp(min=1e-5) ** (1 - power)
        shares = shares / shares.log().mean().exp()
        along = (-1, *(1 for _ in weight.shape[2:]))
        self.weight = nn.Parameter(weight * shares.view(along), requires_grad=False)
        self.less = nn.Buffer((1 / shares).view(along))
        least, most = min(float((low / shares).min()), 0.0), max(float((high / shares).max()), 0.0)
        self.step = (most - least) / _LEVELS
        self.zero = round(-least / self.step)
        self.steps = nn.Buffer(self.weight.abs().flatten(1).amax(1).clamp(min=1e-8) / _MOST)
        self.zeros = nn.Buffer(torch.zeros(len(weight), dtype=torch.int32))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.fake_quantize_per_tensor_affine(x * self.less, self.step, self.zero, 0, _LEVELS)
        weight = torch.fake_quantize_per_channel_affine(self.weight, self.steps, self.zeros, 0, -_MOST, _MOST)
        return F.linear(x, weight, self.bias) if weight.ndim == 2 else F.conv2d(x, weight, self.bias)
