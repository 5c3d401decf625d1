"""Layers of the frozen backbones in 8 bits: fake quantization in torch, which a runtime turns into int8."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.towers.backbones import ImageTower, TextTower

# Powers for linear layers and for convolutions: of 0.4 to 0.9 the best for the cosine of vectors.
_LINEAR_POWER, _POINTWISE_POWER = 0.7, 0.5
_MIN_REACH = 0.1
_LEVELS = 255
_WEIGHT_MAX = 127  # weights are quantized symmetrically around zero


def rounded(module: nn.Module, ranges: Path) -> nn.Module:
    """The module, changed in place: the layers that the file of `training.int8_calibration` names are replaced."""
    by_name = load_file(ranges)
    for tower in [child for child in module.modules() if isinstance(child, TextTower | ImageTower)]:
        prefix = f"{kind_of(tower)}."
        round_layers(
            tower, {name.removeprefix(prefix): limits for name, limits in by_name.items() if name.startswith(prefix)}
        )
    return module


def kind_of(tower: TextTower | ImageTower) -> str:
    """The prefix of its layers' names in a file of ranges."""
    return "text" if isinstance(tower, TextTower) else "image"


def round_layers(tower: nn.Module, ranges: Mapping[str, Tensor]) -> None:
    """Replace the layers in `ranges`: linear layers and pointwise convolutions, by name.

    Each value is float (2, channels), the minimum and the maximum of every input channel.
    """
    for name, (low, high) in ranges.items():
        layer = tower.get_submodule(name)
        plain = layer if isinstance(layer, nn.Linear) else layer.get_submodule("conv")
        tower.set_submodule(name, _Int8Layer(plain, low.float(), high.float()))


class _Int8Layer(nn.Module):
    """A layer whose weights and inputs are rounded to 8 bits: weights by channel, inputs with one scale for all.

    For the single input scale, channels with large values are divided and their weights multiplied, as in SmoothQuant.
    The factor is the input's reach to a power, over the weight's to one minus that power.
    """

    def __init__(self, layer: nn.Module, low: Tensor, high: Tensor) -> None:
        super().__init__()
        weight, self.bias = layer.get_parameter("weight").detach(), layer.get_parameter("bias")
        weight_reach = weight.abs().flatten(2).amax((0, 2)) if weight.ndim > 2 else weight.abs().amax(0)
        reach = torch.maximum(-low, high)
        # A channel that was rare in the calibration may have larger values.
        reach = reach.clamp(min=_MIN_REACH * float(reach.max()))
        power = _LINEAR_POWER if weight.ndim == 2 else _POINTWISE_POWER
        factors = reach**power / weight_reach.clamp(min=1e-5) ** (1 - power)
        factors = factors / factors.log().mean().exp()
        channel_shape = (-1, *(1 for _ in weight.shape[2:]))
        self.weight = nn.Parameter(weight * factors.view(channel_shape), requires_grad=False)
        self.less = nn.Buffer((1 / factors).view(channel_shape))
        minimum, maximum = min(float((low / factors).min()), 0.0), max(float((high / factors).max()), 0.0)
        self.step = (maximum - minimum) / _LEVELS
        self.zero = round(-minimum / self.step)
        self.steps = nn.Buffer(self.weight.abs().flatten(1).amax(1).clamp(min=1e-8) / _WEIGHT_MAX)
        self.zeros = nn.Buffer(torch.zeros(len(weight), dtype=torch.int32))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.fake_quantize_per_tensor_affine(x * self.less, self.step, self.zero, 0, _LEVELS)
        weight = torch.fake_quantize_per_channel_affine(
            self.weight, self.steps, self.zeros, 0, -_WEIGHT_MAX, _WEIGHT_MAX
        )
        return F.linear(x, weight, self.bias) if weight.ndim == 2 else F.conv2d(x, weight, self.bias)
